# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Sessions of detectors give what testing gives."""
import pytest
import torch
from helpers.boxes import (
    DETECTOR,
    NUM_CLASSES,
    VIDEOS,
    box_dataset,
    build_detector,
    set_metric,
    write_videos_with_boxes,
)
from helpers.runs import config, make_runner
from mmengine.config import ConfigDict
from mmengine.fileio import load
from mmengine.registry import init_default_scope

from mmaction_memvit.apis import OnlineInferencer
from mmaction_memvit.video import PyAVReader

pytest.importorskip('mmdet')


def boxes_of(table, video):
    """What a caller gives: the boxes of a table, in pixels."""

    def boxes(picture, seconds):
        height, width = picture.shape[:2]
        shares = table.get(f'{video},{round(seconds):04d}', [])
        return [(a * width, b * height, c * width, d * height)
                for a, b, c, d, _ in shares]

    return boxes


def test_boxes_of_the_caller(tmp_path):
    data = write_videos_with_boxes(tmp_path)
    init_default_scope('mmaction')
    torch.save(build_detector().state_dict(), tmp_path / 'model.pth')
    cfg = config(
        tmp_path / 'run',
        test=dict(batch_size=2, num_workers=0,
                  sampler=dict(type='DefaultSampler', shuffle=False),
                  batch_sampler=dict(type='StreamBatchSampler'),
                  dataset=box_dataset(data, False, type='OnlineAVADataset')),
        load_from=str(tmp_path / 'model.pth'))
    cfg.model = ConfigDict(DETECTOR)
    set_metric(cfg, data)
    runner = make_runner(cfg)
    runner.test()
    expected = runner.recorder.scores
    table = load(str(data / 'proposals.pkl'))
    inferencer = OnlineInferencer(cfg, cfg.load_from)

    with pytest.raises(ValueError, match='boxes'):
        inferencer.session()
    sessions, frames = [], []
    # Pictures of the last video begin late, which only its file tells.
    streams = VIDEOS[:3]
    for name, suffix, fps, *_ in streams:
        reader = PyAVReader(str(data / (name + suffix)))
        frames.append(reader.read(range(reader.num_frames)))
        sessions.append(inferencer.session(name, fps, boxes_of(table, name)))
    half = [len(x) // 2 for x in frames]
    found = inferencer.push(sessions, [x[:n] for x, n in zip(frames, half)])
    sessions = [inferencer.load_session(s.state_dict(), s.boxes)
                for s in sessions]
    for more in (inferencer.push(
            sessions, [x[n:] for x, n in zip(frames, half)]),
                 inferencer.finish(sessions)):
        for own, new in zip(found, more):
            own += new
    for name, suffix, *_ in VIDEOS:
        found.append(
            inferencer(str(data / (name + suffix)), boxes_of(table, name)))
    for (name, *_), steps in zip(streams + VIDEOS, found):
        steps = {1 + x.clip: x for x in steps}
        times = [t for video, t in expected if video == name]
        assert times == [t for t in steps if t in times]
        for time in times:
            step = steps[time]
            assert step.scores.shape[1:] == (NUM_CLASSES, )
            assert step.boxes.shape == (len(step.scores), 4)
            assert step.keyframe == pytest.approx(time, abs=0.05)
            torch.testing.assert_close(
                step.scores, expected[name, time], atol=1e-5, rtol=0)
    assert sum(map(len, expected.values())) > 30
