# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The memory protocol carries parts that are nothing like MeMViT."""
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from generated.longcue import LongCueSpec, plan_videos, render_video
from helpers.runs import config, made_up_loader, make_runner, train
from mmaction.registry import DATASETS, MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from mmaction_memvit.memory import as_memory

DOC = Path(__file__).resolve().parents[1] / 'docs' / \
    'add_a_backbone_that_remembers.md'


@as_memory
class Hidden(NamedTuple):
    state: Tensor


@MODELS.register_module()
class RecurrentNeck(nn.Module):
    """A gated recurrent cell over pooled features."""

    def __init__(self, channels: int, on: bool = True) -> None:
        super().__init__()
        self.cell = nn.GRUCell(channels, channels)
        self.on = on

    def init_memory(self, batch_size, input_size=None, dtype=None,
                    device=None):
        like = self.cell.weight_hh
        return Hidden(
            torch.zeros(batch_size, self.cell.hidden_size,
                        device=device or like.device)) if self.on else None

    def forward(self, x, memory=None, elapsed=None, data_samples=None):
        state = None if memory is None else memory.state
        state = self.cell(x.mean((2, 3, 4)), state)
        out = state[:, :, None, None, None]
        return out, dict() if memory is None else Hidden(state)


SPEC = LongCueSpec(
    num_cues=4, max_delay=1, clips_per_video=8, clip_len=2, size=32)


@DATASETS.register_module()
class LongCueInMemory:
    """LongCue without files; questions only are labelled in testing."""
    metainfo: dict = {}

    def __init__(self, split: str, num_videos: int) -> None:
        self.test_mode = split != 'train'
        self.keys, self.clips, self.labels = [], [], []
        for plan in plan_videos(SPEC, split, num_videos):
            frames = torch.from_numpy(render_video(SPEC, plan))
            clips = frames.unflatten(0, (SPEC.clips_per_video, -1))
            labels = [-1] * len(clips)
            for q in plan.questions:
                labels[q.clip] = q.label
                if not self.test_mode:
                    labels[q.cue_clip] = q.label
            for i, (clip, label) in enumerate(zip(clips, labels)):
                self.keys.append((plan.name, i))
                self.clips.append(clip.permute(3, 0, 1, 2)[None])
                self.labels.append(label)

    def stream_keys(self) -> list:
        return self.keys

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> dict:
        video, position = self.keys[index]
        label = self.labels[index]
        sample = ActionDataSample(
            metainfo=dict(video_id=video, timestamp=position,
                          segment_id=str(position) if label >= 0 else ''))
        return dict(
            inputs=self.clips[index], data_samples=sample.set_gt_label(label))


def longcue_loader(split: str, num_videos: int) -> dict:
    return dict(batch_size=16, num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=split == 'train'),
                batch_sampler=dict(type='StreamBatchSampler'),
                dataset=dict(type='LongCueInMemory', split=split,
                             num_videos=num_videos))


def neck_config(tmp_path, on: bool, epochs: int) -> Config:
    cfg = config(tmp_path, longcue_loader('train', 48),
                 longcue_loader('val', 32), epochs=epochs)
    cfg.model = dict(
        type='OnlineRecognizer3D',
        backbone=dict(type='ResNet3d', depth=18, pretrained=None,
                      base_channels=8, conv1_kernel=(1, 3, 3),
                      conv1_stride_t=1, pool1_stride_t=1, inflate=0),
        neck=dict(type='RecurrentNeck', channels=64, on=on),
        cls_head=dict(type='I3DHead', in_channels=64, num_classes=4,
                      init_std=0.1, dropout_ratio=0., average_clips='prob'),
        data_preprocessor=cfg.model.data_preprocessor)
    cfg.train_cfg.val_begin = cfg.train_cfg.val_interval = epochs
    cfg.optim_wrapper.optimizer = dict(type='AdamW', lr=5e-3)
    cfg.param_scheduler = []
    return cfg


def accuracy(runner) -> float:
    """Share of questions that were answered right."""
    dataset = runner.val_dataloader.dataset
    right = [int(runner.recorder.scores[key].argmax()) == label
             for key, label in zip(dataset.keys, dataset.labels) if label >= 0]
    assert len(right) >= 64
    return sum(right) / len(right)


def test_a_recurrent_neck_over_a_stock_backbone_learns_to_remember(tmp_path):
    runner = train(neck_config(tmp_path / 'a', on=True, epochs=6))
    assert runner.model.remembering == (False, True, False)
    # By chance 25 %; nothing in the question's own clip tells.
    assert accuracy(runner) > 0.8, accuracy(runner)
    plain = train(neck_config(tmp_path / 'b', on=False, epochs=2))
    assert not plain.model.with_memory
    assert accuracy(plain) < 0.4


@pytest.fixture
def documented(tmp_path, monkeypatch):
    """The module and the config of the documentation."""
    module, cfg = re.findall(r'```python\n(.*?)```', DOC.read_text(), re.S)
    assert len(module.splitlines()) + len(cfg.splitlines()) <= 80
    (tmp_path / 'recurrent_resnet3d.py').write_text(module)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Config.fromstring(cfg, '.py')
    sys.modules.pop('recurrent_resnet3d', None)
    MODELS.module_dict.pop('RecurrentResNet3d', None)


def test_the_documented_backbone(tmp_path, documented):
    cfg = config(tmp_path / 'run', made_up_loader([3, 2, 3], train=True),
                 made_up_loader([3, 2, 3], train=False))
    cfg.merge_from_dict(documented.to_dict())
    cfg.model = documented.model
    # No need to be slow.
    cfg.model.backbone.update(channels=64, base_channels=8)
    cfg.model.cls_head.in_channels = 64
    runner = make_runner(cfg)
    runner.train()
    assert len(runner.recorder.scores) == 8

    init_default_scope('mmaction')
    model = runner.model.eval()
    clips = torch.randn(4, 2, 3, 4, 32, 32)

    def watch(lanes, elapsed=None):
        memory, outs = model.init_memory(len(lanes)), []
        with torch.no_grad():
            for clip in clips[:, lanes]:
                out, memory = model.step(clip, memory, elapsed)
                outs.append(out)
        return outs

    for lane in range(2):
        alone, both = watch([lane]), watch([0, 1])
        torch.testing.assert_close(alone[3][0], both[3][lane])
        first = model.backbone(clips[3, lane][None])
        assert (first - alone[3]).abs().max() > 1e-4
        # Time passes for this one.
        later = watch([lane], torch.tensor([60.]))
        assert (later[3] - alone[3]).abs().max() > 1e-5
