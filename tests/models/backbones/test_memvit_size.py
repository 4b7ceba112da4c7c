# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Operations and parameters are those of the paper's models."""
import logging

import pytest
import torch
from mmengine.analysis import FlopAnalyzer

from mmaction_memvit.models import MeMViT


class Classifier(torch.nn.Module):

    def __init__(self, mem_len: int) -> None:
        super().__init__()
        self.backbone = MeMViT('small', mem_len=mem_len)
        self.fc = torch.nn.Linear(768, 400)

    def forward(self, x):
        if not self.backbone.mem_layers:
            return self.fc(self.backbone(x)[-1][1])
        return self.fc(
            self.backbone(x, self.backbone.init_memory(1))[0][-1][1])


def reference_only(mem_len: int, arch: str = 'small', frames: int = 8) -> int:
    """Parameters the reference carries in blocks that have no memory.

    Without memory, compression in all blocks; else compression and position
    tables of memory in the odd ones.
    """
    total = 0
    blocks = MeMViT(arch, temporal_size=2 * frames, mem_len=0).blocks
    for i, block in enumerate(blocks):
        if mem_len and i % 2 == 0:
            continue
        attn = block.attn
        channels = attn.k.in_features
        total += 2 * (7 * 3 * 3 + 2) * channels
        if mem_len:
            q_size = (attn.rel_pos_h.shape[0] + 1) // 2
            width = attn.rel_pos_h.shape[1]
            # Tables as long as those for the current clip's keys or shorter.
            total += (2 * (2 * q_size - 1) +
                      (mem_len + 1) * frames - 1) * width
    return total


@pytest.mark.parametrize('mem_len, gmacs', [(0, 57.40), (4, 59.95)])
def test_operations(mem_len, gmacs):
    logging.disable(logging.WARNING)
    with torch.no_grad():
        counted = FlopAnalyzer(
            Classifier(mem_len).eval(),
            (torch.zeros(1, 3, 16, 224, 224), )).total() / 1e9
    assert counted == pytest.approx(gmacs, rel=5e-3)
    assert counted / 57.40 < 1.045


@pytest.mark.parametrize('mem_len, params', [(0, 35.25), (2, 35.39)])
def test_parameters(mem_len, params):
    own = sum(p.numel() for p in Classifier(mem_len).parameters())
    assert (own + reference_only(mem_len)) / 1e6 == pytest.approx(
        params, rel=5e-3)
