# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Triton's kernels compile for an H100, where no GPU is at hand either."""
import pytest
import torch

from mmaction_memvit.ops.pooling import _geometries

triton = pytest.importorskip('triton', minversion='3.4')
compiler = pytest.importorskip('triton.compiler')
backends = pytest.importorskip('triton.backends.compiler')

TYPES = {torch.bfloat16: '*bf16', torch.float32: '*fp32'}


def compiled(kernel, args, constants, num_warps):
    """PTX of ``kernel`` as a launch with these arguments compiles it."""
    signature, fixed, hints = {}, {}, {}
    plain = {x.name for x in kernel.params if x.do_not_specialize}
    for i, (name, arg) in enumerate(zip(kernel.arg_names, args)):
        if isinstance(arg, torch.Tensor):
            signature[name] = TYPES[arg.dtype]
        elif isinstance(arg, float):
            signature[name] = 'fp32'
        elif arg == 1 and name not in plain:
            signature[name], fixed[(i, )] = 'constexpr', 1
        else:
            signature[name] = 'i32'
        if isinstance(arg, torch.Tensor) or (name not in plain
                                             and arg % 16 == 0):
            hints[(i, )] = [['tt.divisibility', 16]]
    for name, value in constants.items():
        signature[name] = 'constexpr'
        fixed[(kernel.arg_names.index(name), )] = value
    source = compiler.ASTSource(
        kernel, {x: signature[x] for x in kernel.arg_names}, fixed, hints)
    result = triton.compile(source, target=backends.GPUTarget('cuda', 90, 32),
                            options=dict(num_warps=num_warps))
    assert result.asm['cubin']
    return result.asm['ptx']


@pytest.fixture()
def programs(monkeypatch):
    """PTX of what would be launched, by the kernel's name."""
    from mmaction_memvit.ops import (
        triton_launch,
        triton_layer_norm,
        triton_pooling,
        triton_roi_align,
        triton_widen,
    )
    found = {}

    def launch(kernel, grid, like, *args, num_warps, **constants):
        found[kernel.__name__] = compiled(kernel, args, constants, num_warps)

    for module in (triton_layer_norm, triton_pooling, triton_roi_align,
                   triton_widen):
        monkeypatch.setattr(module, 'launch', launch)
    for module in (triton_launch, triton_layer_norm, triton_pooling):
        monkeypatch.setattr(module, 'wanted_programs', lambda device: 528)
    return found


def empty(*shape, dtype=torch.float32):
    return torch.empty(shape, dtype=dtype, device='meta')


def test_widening_of_memvit_16(programs):
    from mmaction_memvit.ops import triton_widen
    q, k = (empty(8, num, 4, 96, dtype=torch.bfloat16) for num in (1569, 458))
    extra = empty(112, 8 * 14 * 4, 32, dtype=torch.bfloat16)
    wide = triton_widen.widen(q, extra, extra[0, :1], k, extra[:8, :458], k,
                              (8, 14, 14))
    triton_widen.narrow(*wide, q[:, 1:], (8, 14, 14))
    for name in ('_widen_kernel', '_narrow_kernel'):
        assert 'ld.global.b16' not in programs[name]


def test_pooling_of_memvit_16(programs):
    from mmaction_memvit.ops import triton_pooling

    size, strides = (8, 14, 14), [1, 1, 1, 1, 2, 2, 1, 2, 2]
    tokens = empty(8, 1569, 384, dtype=torch.bfloat16)
    weights = [empty(96, 1, 3, 3, 3) for _ in range(3)]
    norms = [empty(96) for _ in range(3)]
    geometries = _geometries(size, weights, strides, False)
    outs, *kept = triton_pooling.forward([tokens], weights, norms, norms,
                                         geometries, 1e-6, True)
    triton_pooling.backward(outs, [tokens], *kept, weights, norms, geometries,
                            True, True)
    for name in ('forward_kernel', 'tokens_kernel', 'weight_kernel'):
        ptx = programs[name]
        # Eight channels a load, none by itself.
        assert 'ld.global.v4.b32' in ptx and 'ld.global.b16' not in ptx


def test_weights_of_boxes(programs):
    from mmaction_memvit.ops import triton_roi_align
    triton_roi_align.box_weights(empty(40, 4), (16, 16), (7, 7), 0, True)
    assert programs['_weights_kernel']
