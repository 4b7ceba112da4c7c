# Copyright (c) mmaction_memvit contributors. All rights reserved.
import sys
import types

import pytest
import torch

from mmaction_memvit.compat import ops_are_compiled
from mmaction_memvit.ops import nms as module
from mmaction_memvit.ops.nms import nms, nms_plain


def by_loops(boxes, scores, threshold, offset):
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        x1, y1, x2, y2 = boxes[i]
        for j in kept:
            u1, v1, u2, v2 = boxes[j]
            inter = max(min(x2, u2) - max(x1, u1) + offset, 0) * max(
                min(y2, v2) - max(y1, v1) + offset, 0)
            union = ((x2 - x1 + offset) * (y2 - y1 + offset) +
                     (u2 - u1 + offset) * (v2 - v1 + offset) - inter)
            if inter > threshold * union:
                break
        else:
            kept.append(i)
    return kept


def some_boxes(num):
    """With doubles, boxes without an area, and equal scores."""
    corner, size = torch.rand(num, 2) * 50, torch.rand(num, 2) * 30
    boxes = torch.cat([corner, corner + size], 1)
    boxes[num // 2] = boxes[0]
    boxes[num // 3, 2:] = boxes[num // 3, :2]
    return boxes.double(), (torch.rand(num) * 20).round() / 20


@pytest.mark.parametrize('block', [1, 7, 512])
@pytest.mark.parametrize('threshold, offset', [(0.3, 0), (0.7, 0), (0.5, 1)])
def test_plain_form_equals_the_definition(block, threshold, offset,
                                          monkeypatch):
    monkeypatch.setattr(module, 'BLOCK', block)
    boxes, scores = some_boxes(60)
    kept = nms_plain(boxes, scores, threshold, offset)
    assert kept.tolist() == by_loops(boxes.tolist(), scores.tolist(),
                                     threshold, offset)
    assert 1 < len(kept) < 60


def test_no_boxes():
    kept = nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert kept.shape == (0, ) and kept.dtype == torch.long


@pytest.mark.skipif(
    not ops_are_compiled(), reason='this MMCV has no compiled operators')
@pytest.mark.parametrize('offset', [0, 1])
def test_operator_of_mmcv(offset):
    from mmcv.ops import nms as compiled
    boxes, _ = some_boxes(300)
    scores = torch.rand(300)
    _, kept = compiled(boxes.float(), scores, 0.5, offset=offset)
    assert torch.equal(nms_plain(boxes.float(), scores, 0.5, offset), kept)


@pytest.mark.parametrize('works', [True, False])
def test_torchvision_is_used_where_it_works(works, monkeypatch):
    calls = []

    def operator(boxes, scores, threshold):
        calls.append(boxes)
        if not works:
            raise RuntimeError('operator torchvision::nms does not exist')
        return nms_plain(boxes, scores, threshold)

    ops = types.ModuleType('torchvision.ops')
    ops.nms = operator
    monkeypatch.setitem(sys.modules, 'torchvision',
                        types.ModuleType('torchvision'))
    monkeypatch.setitem(sys.modules, 'torchvision.ops', ops)
    module._torchvision_nms.cache_clear()
    try:
        boxes, scores = some_boxes(40)
        kept = nms(boxes, scores, 0.5, offset=1)
        assert torch.equal(kept, nms_plain(boxes, scores, 0.5, offset=1))
        assert len(calls) == 1 + works  # one of them tries it out
    finally:
        module._torchvision_nms.cache_clear()
