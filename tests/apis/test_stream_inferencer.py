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
                    type='ActionDataPreprocessor', mean=[127., 127., 127.],
                    std=[58., 58., 58.], format_shape='NCTHW'),
                cls_head=dict(type='MViTHead', in_channels=32, num_classes=3,
                              init_std=1., average_clips='prob')),
            test_dataloader=dict(
                dataset=dict(
                    type='OnlineVideoDataset', clip_len=4, frame_interval=2,
                    pipeline=[
                        dict(type='LoadVideoClip'),
                        dict(type='Resize', scale=(32, 32), keep_ratio=False),
                        dict(type='FormatShape', input_format='NCTHW'),
                        dict(type='PackActionInputs')],
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


def test_live_streams_by_name_equal_the_file(video):
    expected = [s for s in build()(video) if s.clip * 8 + 8 <= 44]
    frames = decode(video)
    model, got = build(), []
    # In uneven portions, with a second stream in between.
    for start in range(0, 44, 5):
        got += model.push(frames[start:start + 5], fps=10.)
        model.push(frames[::-1][start:start + 5], stream='other')
    assert [s.clip for s in got] == [s.clip for s in expected]
    for a, b in zip(got, expected):
        torch.testing.assert_close(a.scores, b.scores, atol=2e-2, rtol=0)
        assert (a.start, a.end) == pytest.approx((b.start, b.end))
    bank = model.model.banks['predict']
    assert len(bank) == 2
    # What is reset is forgotten: this clip alone has other scores.
    model.reset('live')
    assert len(bank) == 1
    fresh, = model.push(frames[24:32], fps=0.)
    assert (fresh.scores - got[3].scores).abs().max() > 5e-2
    model.reset()
    assert len(bank) == 0


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
