# Copyright (c) mmaction_memvit contributors. All rights reserved.
import itertools
import math

import numpy as np
import pytest
import torch

from mmaction_memvit.compat import ops_are_compiled
from mmaction_memvit.ops import roi_align as module
from mmaction_memvit.ops.roi_align import RoIAlign, roi_align

TORCH = tuple(int(x) for x in torch.__version__.split('.')[:2])
FORMS = list(itertools.product((0, 2), (True, False), (True, False)))


def at(plane, y, x):
    """Bilinear value of a plane, zero from one pixel outside on."""
    height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    ly, lx = y - y0, x - x0
    return ((1 - ly) * ((1 - lx) * plane[y0, x0] + lx * plane[y0, x1]) + ly *
            ((1 - lx) * plane[y1, x0] + lx * plane[y1, x1]))


def by_loops(maps, rois, bins, scale, ratio, aligned):
    """The definition, sample by sample, in double precision."""
    out = np.zeros((len(rois), maps.shape[1], *bins))
    for r, (image, *box) in enumerate(rois):
        x1, y1, x2, y2 = (v * scale - 0.5 * aligned for v in box)
        sides = [y2 - y1, x2 - x1]
        if not aligned:
            sides = [max(side, 1) for side in sides]
        per_bin = [side / n for side, n in zip(sides, bins)]
        ny, nx = (ratio or math.ceil(side) for side in per_bin)
        for c, p, q in np.ndindex(*out.shape[1:]):
            values = [
                at(maps[int(image), c], y1 + (p + (i + .5) / ny) * per_bin[0],
                   x1 + (q + (j + .5) / nx) * per_bin[1])
                for i in range(ny) for j in range(nx)]
            if values:
                out[r, c, p, q] = np.mean(values)
    return out


def some_boxes(num, width, height, batch):
    """Boxes of all sizes: tiny, beyond the frame, larger than it."""
    centre = torch.rand(num, 2) * torch.tensor([width, height]) * 1.4
    centre -= 0.2 * torch.tensor([width, height])
    size = torch.rand(num, 2) ** 2 * torch.tensor([width, height]) * 1.6
    boxes = torch.cat([centre - size / 2, centre + size / 2], 1)
    boxes[0] = torch.tensor([3., 4., 3., 4.])
    image = torch.randint(batch, (num, 1)).float()
    return torch.cat([image, boxes], 1)


@pytest.mark.parametrize('ratio, aligned, dense', FORMS)
def test_every_form_equals_the_definition(ratio, aligned, dense, monkeypatch):
    monkeypatch.setattr(module, 'gathering_pays', lambda *args: not dense)
    monkeypatch.setattr(module, 'CHUNK_NUMBERS', 2000)
    maps = torch.randn(2, 2, 9, 7, dtype=torch.float64)
    rois = some_boxes(12, 9 * 7, 7 * 9, 2).double()
    args = (3, 4), 1 / 9, ratio, 'avg', aligned
    expected = by_loops(maps.numpy(), rois.tolist(), (3, 4), 1 / 9, ratio,
                        aligned)
    np.testing.assert_allclose(roi_align(maps, rois, *args), expected,
                               atol=1e-12)
    # In single precision, too.
    np.testing.assert_allclose(
        roi_align(maps.float(), rois.float(), *args), expected, atol=2e-5)


@pytest.mark.parametrize('ratio, aligned, dense', FORMS)
def test_gradient(ratio, aligned, dense, monkeypatch):
    monkeypatch.setattr(module, 'gathering_pays', lambda *args: not dense)
    maps = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = some_boxes(4, 60, 50, 2).double()
    assert torch.autograd.gradcheck(
        lambda maps: roi_align(maps, rois, 2, 0.1, ratio, 'avg', aligned),
        maps, fast_mode=True)


@pytest.mark.skipif(
    not ops_are_compiled(), reason='this MMCV has no compiled operators')
@pytest.mark.parametrize('ratio, aligned, dense', FORMS)
def test_operator_of_mmcv(ratio, aligned, dense, monkeypatch):
    from mmcv.ops import RoIAlign as Compiled
    monkeypatch.setattr(module, 'gathering_pays', lambda *args: not dense)
    maps = torch.randn(2, 3, 14, 16, requires_grad=True)
    rois = some_boxes(40, 256, 224, 2)
    args = (7, 5), 1 / 16, ratio, 'avg', aligned
    outs = [layer(*args)(maps, rois) for layer in (RoIAlign, Compiled)]
    torch.testing.assert_close(*outs, atol=1e-5, rtol=0)
    grads = [torch.autograd.grad((out * torch.arange(5.)).sum(), maps)[0]
             for out in outs]
    torch.testing.assert_close(*grads, atol=1e-4, rtol=0)


@pytest.mark.parametrize('dense', [True, False])
def test_no_boxes(dense, monkeypatch):
    monkeypatch.setattr(module, 'gathering_pays', lambda *args: not dense)
    maps = torch.randn(1, 3, 8, 8, requires_grad=True)
    out = roi_align(maps, torch.zeros(0, 5), 7)
    assert out.shape == (0, 3, 7, 7)
    out.sum().backward()
    assert not maps.grad.any()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('dense', [True, False])
def test_half_precision(dtype, dense, monkeypatch):
    """Places of boxes keep their digits; values are rounded."""
    if dtype == torch.float16 and TORCH < (2, 2):
        pytest.skip('torch 2.1 multiplies no float16 matrices on a CPU')
    monkeypatch.setattr(module, 'gathering_pays', lambda *args: not dense)
    maps = torch.rand(2, 3, 14, 14).to(dtype)
    rois = some_boxes(10, 224, 224, 2)
    out = roi_align(maps, rois, 7, 1 / 16)
    assert out.dtype == dtype
    torch.testing.assert_close(
        out.float(), roi_align(maps.float(), rois, 7, 1 / 16),
        atol=4 * torch.finfo(dtype).eps, rtol=0)


def test_autocast_does_not_round():
    maps, rois = torch.rand(1, 3, 14, 14), some_boxes(5, 224, 224, 1)
    expected = roi_align(maps, rois, 7, 1 / 16)
    with torch.autocast('cpu', torch.bfloat16):
        out = roi_align(maps, rois, 7, 1 / 16)
    assert torch.equal(out, expected)


@pytest.mark.skipif(
    TORCH < (2, 4), reason='RoIAlign compiles with torch 2.4 and later')
def test_compiles_as_one_graph():
    layer = RoIAlign(3, 1 / 16)
    compiled = torch.compile(
        layer, fullgraph=True, backend='aot_eager', dynamic=True)
    for num in (3, 9):
        maps = torch.rand(2, 3, 6, 7, requires_grad=True)
        rois = some_boxes(num, 112, 96, 2)
        results = []
        for run in (layer, compiled):
            out = run(maps, rois)
            results.append((out, torch.autograd.grad(out.sum(), maps)[0]))
        torch.testing.assert_close(*results, atol=1e-5, rtol=0)


@pytest.mark.skipif(not hasattr(torch.export, 'Dim'),
                    reason='torch.export has named dimensions since torch 2.2')
def test_exports_and_traces_for_any_number_of_boxes():
    layer = RoIAlign(3, 1 / 16).eval()
    maps, rois = torch.rand(2, 3, 6, 7), some_boxes(5, 112, 96, 2)
    exported = torch.export.export(
        layer, (maps, rois),
        dynamic_shapes=(None, {0: torch.export.Dim('boxes', min=2)}))
    traced = torch.jit.trace(layer, (maps, rois))
    rois = some_boxes(11, 112, 96, 2)
    expected = layer(maps, rois)
    for run in (exported.module(), traced):
        torch.testing.assert_close(
            run(maps, rois), expected, atol=1e-5, rtol=0)
    for node in exported.graph.nodes:
        if node.op == 'call_function':
            assert getattr(node.target, 'namespace', 'aten') == 'aten'


@pytest.mark.parametrize('shape, pays', [((14, 14), True), ((4, 4), False)])
def test_large_maps_are_gathered_on_a_cpu(shape, pays, monkeypatch):
    calls = []
    original = module._average_gathered
    monkeypatch.setattr(module, '_average_gathered',
                        lambda *args: calls.append(0) or original(*args))
    roi_align(torch.rand(1, 1, *shape), torch.tensor([[0., 1, 1, 3, 3]]), 7)
    assert bool(calls) == pays


def test_wrong_arguments_are_named():
    maps = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match='mmcv-lite'):
        roi_align(maps, torch.zeros(1, 5), 2, pool_mode='max')
    with pytest.raises(ValueError, match=r'\(1, 4\)'):
        roi_align(maps, torch.zeros(1, 4), 2)
