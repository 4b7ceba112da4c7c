# Copyright (c) mmaction_memvit contributors. All rights reserved.
from pathlib import Path

import pytest
from helpers.videos import write_video
from mmaction.apis import inference_recognizer, init_recognizer
from mmengine.config import Config

from mmaction_memvit.datasets.transforms import VideoInit
from mmaction_memvit.video import VideoReadError


def test_tells_the_length(tmp_path):
    path = tmp_path / 'a (1)!.mp4'
    write_video(path, 23, rate=10)
    results = VideoInit()(dict(filename=str(path)))
    assert results['total_frames'] == 23
    assert results['fps'] == results['avg_fps'] == pytest.approx(10)


def test_believes_the_data_set(tmp_path):
    known = dict(filename=str(tmp_path / 'none.mp4'), total_frames=7)
    assert VideoInit()(dict(known)) == known


def test_a_file_that_is_none(tmp_path):
    path = tmp_path / 'a.mp4'
    with pytest.raises(VideoReadError, match='a.mp4 cannot be read.*Remedy'):
        VideoInit()(dict(filename=str(path)))
    path.write_bytes(b'no video')
    with pytest.raises(VideoReadError, match='a.mp4 .*Remedy'):
        VideoInit()(dict(filename=str(path)))


def test_inference_of_a_file_that_no_list_knows(tmp_path):
    """MMAction2's inference runs on the test pipeline of our configs."""
    name = 'slowonly-tiny-memory_1xb8-8x2x1-n4_jhmdb-rgb.py'
    cfg = Config.fromfile(
        str(Path(__file__).resolve().parents[3] /
            'configs/recognition/collaborative' / name))
    assert cfg.test_pipeline == cfg.test_dataloader.dataset.pipeline
    path = write_video(tmp_path / 'a.avi', 30, codec='mpeg4', b_frames=0)
    model = init_recognizer(cfg, device='cpu')
    sample = inference_recognizer(model, str(path))
    assert sample.num_clips == 10
    assert sample.pred_score.sum() == pytest.approx(1)
