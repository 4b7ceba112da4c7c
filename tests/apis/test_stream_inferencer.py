# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest
import torch
from helpers.models import MEMVIT
from helpers.videos import write_video
from mmengine.config import Config

from mmaction_memvit.apis import StreamInferencer


def config(**dataset) -> Config:
    return Config(
        dict(
            default_scope='mmaction',
            model=dict(
                type='OnlineRecognizer3D',
                backbone=dict(
                    MEMVIT,
                    init_cfg=dict(
                        type='TruncNormal', layer='Linear', std=0.5)),
                data_preprocessor=dict(
                    type='ActionDataPreprocessor',
                    mean=[127., 127., 127.],
                    std=[58., 58., 58.],
                    format_shape='NCTHW'),
                cls_head=dict(
                    type='MViTHead',
                    in_channels=32,
                    num_classes=3,
                    init_std=1.,
                    average_clips='prob')),
            test_dataloader=dict(
                dataset=dict(
                    type='OnlineVideoDataset',
                    clip_len=4,
                    frame_interval=2,
                    pipeline=[
                        dict(type='LoadVideoClip'),
                        dict(type='Resize', scale=(32, 32), keep_ratio=False),
                        dict(type='FormatShape', input_format='NCTHW'),
                        dict(type='PackActionInputs')
                    ],
                    **dataset))))


@pytest.fixture
def video(tmp_path) -> str:
    path = str(tmp_path / 'a.mp4')
    write_video(path, 44, rate=10)
    return path


def build(**dataset) -> StreamInferencer:
    torch.manual_seed(0)
    return StreamInferencer(config(**dataset))


def decode(path: str) -> np.ndarray:
    import cv2
    capture, frames = cv2.VideoCapture(path), []
    while True:
        more, frame = capture.read()
        if not more:
            return np.stack(frames)
        frames.append(frame[..., ::-1].copy())


def test_a_file_clip_by_clip(video):
    steps = list(build()(video))
    # 44 frames: five clips of 8 and a rest of 4.
    assert [s.clip for s in steps] == [0, 1, 2, 3, 4, 5]
    assert [s.start for s in steps] == pytest.approx(
        [0, .8, 1.6, 2.4, 3.2, 4.0])
    assert steps[-1].end == pytest.approx(4.4)
    assert all(s.scores.sum() == pytest.approx(1, abs=1e-5) for s in steps)
    # The second run remembers nothing of the first, a middle clip all.
    model = build()
    again = [list(model(video)) for _ in range(2)]
    for a, b, c in zip(steps, *again):
        assert torch.equal(a.scores, b.scores)
        assert torch.equal(a.scores, c.scores)


def test_memory_is_used(video):
    model = build()
    steps = list(model(video))
    model.reset()
    # Frames of clip 3 alone.
    fresh, = model.push(decode(video)[24:32], fps=10.)
    assert (fresh.scores - steps[3].scores).abs().max() > 5e-2


@pytest.mark.parametrize('stride', [None, 4])
def test_live_frames_equal_the_file(video, stride):
    kwargs = {} if stride is None else dict(clip_stride=stride)
    expected = [
        s for s in build(**kwargs)(video)
        if s.clip * (stride or 8) + 8 <= 44
    ]
    frames = decode(video)
    model, got = build(**kwargs), []
    # In uneven portions, with a second stream in between.
    for start in range(0, 44, 5):
        got += model.push(frames[start:start + 5], fps=10.)
        model.push(frames[::-1][start:start + 5], stream='other')
    assert [s.clip for s in got] == [s.clip for s in expected]
    for a, b in zip(got, expected):
        torch.testing.assert_close(a.scores, b.scores, atol=2e-2, rtol=0)
        assert (a.start, a.end) == pytest.approx((b.start, b.end))
    model.reset('live')
    first, = model.push(frames[:8], fps=10.)
    assert torch.equal(first.scores, got[0].scores)


def test_any_number_of_streams_side_by_side(video):
    frames = decode(video)
    alone = build().push(frames, fps=10.)
    model, got = build(), []
    others = iter(model(video))
    for start in range(0, 40, 8):
        got += model.push(frames[start:start + 8], fps=10.)
        for name in 'abc':
            model.push(frames[::-1][start:start + 8], stream=name)
        next(others)
    for a, b in zip(got, alone):
        assert torch.equal(a.scores, b.scores)
    bank = model.model.banks['predict']
    assert bank.num_clips - bank.num_continued == 5 and len(bank) == 5
    # What has ended is not kept.
    others.close()
    model.reset('a')
    assert len(bank) == 3


def test_bad_input(tmp_path, video):
    model = build()
    with pytest.raises(FileNotFoundError, match='nowhere.mp4'):
        list(model(str(tmp_path / 'nowhere.mp4')))
    with pytest.raises(ValueError, match='uint8 array of .H, W, 3.'):
        model.push(np.zeros((2, 8, 8, 3), np.float32))
    with pytest.raises(FileNotFoundError, match='none.pth: no such file'):
        StreamInferencer(config(), str(tmp_path / 'none.pth'))
    with pytest.raises(ValueError, match='nowhere'):
        StreamInferencer(config(), device='nowhere')
    other = config()
    other.test_dataloader.dataset.type = 'VideoDataset'
    with pytest.raises(ValueError, match='VideoDataset.*OnlineVideoDataset'):
        StreamInferencer(other)


def test_a_short_video_is_one_padded_clip(tmp_path):
    short = str(tmp_path / 'short.mp4')
    write_video(short, 4, rate=10)
    step, = build()(short)
    assert (step.start, step.end) == pytest.approx((0., 0.4))


def test_a_file_that_is_watched_twice_at_a_time(video):
    model = build()
    alone = list(model(video))
    for first, second, expected in zip(model(video), model(video), alone):
        assert torch.equal(first.scores, expected.scores)
        assert torch.equal(second.scores, expected.scores)
    assert len(model.bank) == 0


def test_a_foreign_checkpoint_gives_no_label(video, tmp_path):
    path = str(tmp_path / 'foreign.pth')
    torch.save(dict(state_dict={'fc.weight': torch.zeros(3)}), path)
    with pytest.raises(ValueError, match='foreign.pth: 0 of'):
        StreamInferencer(config(), path)
    anything = config()
    anything.any_checkpoint_fits = True
    next(StreamInferencer(anything, path)(video))
