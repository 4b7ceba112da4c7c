# Copyright (c) mmaction_memvit contributors. All rights reserved.
import math

import numpy as np
import pytest
import torch
from helpers.models import MEMVIT
from helpers.runs import MODEL, STRONG, made_up_loader
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmaction_memvit.apis import measure_temporal_support

LENGTHS = [9, 8, 11]


def measure(model=(), batch_size=2, lengths=LENGTHS, labels=None, **kwargs):
    cfg = Config(
        dict(
            model=dict(MODEL, **dict(model)),
            test_dataloader=made_up_loader(
                lengths, False, batch_size, labels=labels)))
    torch.manual_seed(0)
    return measure_temporal_support(cfg, **kwargs)


def memvit(**kwargs):
    return dict(
        backbone=dict(MEMVIT, init_cfg=STRONG, mem_layers='all', **kwargs))


@pytest.mark.parametrize('options, support', [
    (dict(mem_len=1), 2),
    (dict(mem_len=2), 4),
    (dict(mem_len=1, mem_stride=2), 4),
])
def test_changes_vanish_exactly_beyond_the_theoretical_support(
        options, support):
    result = measure(memvit(**options), max_age=6)
    assert result.theoretical == support and result.control == 0
    assert (result.changes[support + 1:] == 0).all()
    assert result.changes[support] > 0
    assert result.counts.tolist() == [28 - 3 * age for age in range(7)]


def test_vectors_of_which_a_clip_gives_several():
    """Clips of two temporal places, each remembering three vectors."""
    neck = dict(type='StreamTransformer', in_channels=32, embed_dims=32,
                num_layers=1, mem_len=3, per_frame=True, dropout=0.)
    head = dict(type='I3DHead', in_channels=32, num_classes=3)
    result = measure(dict(memvit(mem_len=0), neck=neck, cls_head=head))
    assert result.theoretical == 1.5
    assert result.changes[2] > 0 and result.changes[3] == 0


def test_without_memory_the_past_changes_nothing():
    result = measure(memvit(mem_len=0))
    assert result.theoretical == result.used() == 0
    assert result.changes[0] > 0 and result.changes[1] == 0
    stock = measure(dict(memvit(mem_len=0), type='Recognizer3D'), max_age=3)
    np.testing.assert_allclose(stock.changes[0], result.changes[0])
    assert (stock.changes[1:] == 0).all()


def test_neither_the_batch_nor_chance_matters_but_the_seed_does():
    base = measure(max_age=3, batch_size=1)
    for batch_size in (2, 3):
        np.testing.assert_allclose(
            measure(max_age=3, batch_size=batch_size).changes, base.changes,
            atol=1e-5)
    assert (measure(max_age=2, seed=1).changes != base.changes[:3]).all()


@MODELS.register_module()
class KeepsEverything(nn.Module):
    """A neck that adds up all it has seen."""

    def init_memory(self, batch_size, input_size=None, dtype=None,
                    device=None):
        return torch.zeros(batch_size, 32, device=device)

    def forward(self, x, memory=None, elapsed=None, data_samples=None):
        x, memory = x[-1][1], memory + x[-1][1]
        return ((None, memory), ), memory


def test_a_memory_without_an_end():
    result = measure(
        dict(memvit(mem_len=0), neck=dict(type='KeepsEverything')))
    assert math.isinf(result.theoretical)
    assert len(result.changes) == max(LENGTHS)  # all there is
    assert (result.changes > 0).all() and result.used() >= 5


def test_tasks_of_frame_level_heads():
    tokens = torch.randint(3, (3, 2, 3)).tolist()
    tokens[1] = [[-1] * 3] * 2  # nothing of this video is annotated
    result = measure(
        dict(
            cls_head=dict(
                type='MultiTaskHead', num_classes=dict(verb=3, noun=4),
                head=dict(type='FrameLevelHead', in_channels=32,
                          init_std=1.))),
        labels=tokens, max_age=2)
    assert (result.changes > 1e-4).all()
    assert result.counts.tolist() == [20, 18, 16]


def test_unlabelled_clips_count_if_asked_for():
    only = dict(labels=[-1, 2, -1], max_age=1)
    assert measure(**only).counts.tolist() == [8, 7]
    assert measure(unlabelled=True, **only).counts.tolist() == [28, 25]
    with pytest.raises(ValueError, match='unlabelled'):
        measure(labels=[-1, -1, -1])


def test_stretches_of_long_streams():
    result = measure(lengths=[60, 2, 60], max_age=4, num_clips=25)
    # Of twice as many clips as there are ages, each within one video.
    assert 25 <= result.counts[0] < 40
    assert result.counts[4] >= result.counts[0] // 2
    with pytest.raises(ValueError, match='at least 2'):
        measure(lengths=[5])


def test_frames_of_a_detector_are_replaced_and_boxes_are_not(tmp_path):
    pytest.importorskip('mmdet')
    from helpers.boxes import (
        DETECTOR,
        box_dataset,
        build_detector,
        write_videos_with_boxes,
    )
    init_default_scope('mmaction')
    weights = str(tmp_path / 'weights.pth')
    torch.save(build_detector(strength=0.5).state_dict(), weights)
    data = write_videos_with_boxes(tmp_path)
    cfg = Config(
        dict(
            model=DETECTOR,
            test_dataloader=dict(
                batch_size=2, num_workers=0,
                dataset=box_dataset(
                    data, train=False, type='OnlineAVADataset'))))
    result = measure_temporal_support(cfg, weights)
    # 2 of the one remembering layer, 2 of the boxes.
    assert result.theoretical == 4 and result.control == 0
    assert (result.changes[:4] > 0).all()
    # From the first second to the fifth by boxes of the third, which has none.
    assert result.changes[4] == 0 < result.counts[4]
