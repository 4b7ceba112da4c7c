# Copyright (c) mmaction_memvit contributors. All rights reserved.
import functools
import math
from typing import Dict, List, Optional, Tuple

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from mmengine.model.weight_init import trunc_normal_
from torch import Tensor

from mmaction_memvit.ops import out_size, pool_norm
from mmaction_memvit.ops.attention import fused_attention
from mmaction_memvit.ops.attention_channels import (
    Layout,
    extra_channels,
    key_channels,
)
from mmaction_memvit.ops.constants import is_compiling
from mmaction_memvit.ops.plain_attention import (
    attention_weights,
    explicit_attention,
)

from .linear import Linear, project
from .relative_position import (
    folding,
    pair_tables,
    spatial_rows,
    temporal_rows,
)
from .stream_memory import LayerMemory, MemorySpec
from .token_pooling import Size, TokenPooling


def pooled_size(size: Size, stride: Size) -> Size:
    """Grid (T, H, W) after pooling by ``stride``, rounded up."""
    return tuple((n - 1) // s + 1 for n, s in zip(size, stride))


def _make_layout(size: Size, stride_q: Size, stride_kv: Size,
                 compress: Optional[Tuple[Size, Size]], num_entries: int,
                 causal: bool) -> Layout:
    """Of an input grid; ``compress`` is kernel and stride."""
    key_size, entry = pooled_size(size, stride_kv), (0, 0, 0)
    if num_entries:
        entry = key_size if compress is None else out_size(key_size, *compress)
    return Layout(pooled_size(size, stride_q), key_size, entry, num_entries,
                  causal)


_layout = functools.lru_cache(4096)(_make_layout)
_TABLES = tuple(f'rel_pos_{x}' for x in ('t', 'h', 'w', 'mem_t', 'mem_h',
                                         'mem_w'))


class PoolingAttention(BaseModule):
    """Multi-head pooling attention with memory (MeMViT, sections 3.2, 3.3).

    Queries, keys and values are pooled first and projected afterwards. What
    is remembered are pooled keys and values before their projection.

    Args:
        in_dims (int): Input channels.
        out_dims (int): Output channels.
        num_heads (int): Heads; must divide both.
        in_size (tuple[int]): Input grid (T, H, W) the position tables are
            made for.
        stride_q (tuple[int]): Pooling stride of queries.
        stride_kv (tuple[int]): Pooling stride of keys and values.
        pool_kernel (tuple[int]): Pooling kernel.
        qkv_bias (bool): Whether the projections have a bias.
        residual_pooling (bool): Whether the pooled query is added to the
            output, class token excluded.
        rel_pos_zero_init (bool): Whether the position tables start at zero.
        norm_eps (float): Epsilon of the norms.
        memory (MemorySpec, optional): None for a layer without memory.
        causal (bool): Whether a token sees frames up to its own only and
            nobody the current class token.
    """

    def __init__(self, in_dims: int, out_dims: int, num_heads: int,
                 in_size: Size, stride_q: Size, stride_kv: Size,
                 pool_kernel: Size, qkv_bias: bool, residual_pooling: bool,
                 rel_pos_zero_init: bool, norm_eps: float,
                 memory: Optional[MemorySpec], causal: bool) -> None:
        super().__init__()
        self.in_dims, self.num_heads = in_dims, num_heads
        self.scale = (out_dims // num_heads)**-0.5
        self.residual_pooling = residual_pooling
        self.rel_pos_zero_init = rel_pos_zero_init
        self.memory, self.norm_eps = memory, norm_eps
        self.causal = causal
        self.stride_q, self.stride_kv = tuple(stride_q), tuple(stride_kv)
        if stride_q[0] != 1 or stride_kv[0] != 1:
            raise ValueError(
                f'queries are pooled by {stride_q[0]} and keys by '
                f'{stride_kv[0]} in time, but positions in time are told '
                'frame by frame: the first stride must be 1')

        def pooling(stride: Size) -> TokenPooling:
            return TokenPooling(in_dims // num_heads, pool_kernel, stride,
                                norm_eps)

        self.pool_q = pooling(stride_q)
        self.pool_k = pooling(stride_kv)
        self.pool_v = pooling(stride_kv)
        self.q, self.k, self.v = (
            Linear(in_dims, out_dims, bias=qkv_bias) for _ in 'qkv')
        self.proj = Linear(out_dims, out_dims)

        width = self.width = out_dims // num_heads
        frames = in_size[0]
        # Tables follow the shorter side of the input.
        q_short, kv_short = (min(pooled_size(in_size, stride)[1:])
                             for stride in (stride_q, stride_kv))

        def table(rows: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(rows, width))

        self.rel_pos_h = table(spatial_rows(q_short, kv_short))
        self.rel_pos_w = table(spatial_rows(q_short, kv_short))
        self.rel_pos_t = table(2 * frames - 1)

        self.compress_k = self.compress_v = None
        if memory is None:
            return
        if memory.compress is not None:
            self.compress_k, self.compress_v = (
                TokenPooling(in_dims, norm_eps=norm_eps, **memory.compress)
                for _ in 'kv')
            if memory.compress_age < memory.stride:
                # Compressed in one step and used in a later one: no gradient
                # comes back, for which DistributedDataParallel would wait.
                self.compress_k.requires_grad_(False)
                self.compress_v.requires_grad_(False)
        mem_short = self.entry_size((frames, kv_short, kv_short))[1]
        self.rel_pos_mem_h = table(spatial_rows(q_short, mem_short))
        self.rel_pos_mem_w = table(spatial_rows(q_short, mem_short))
        self.rel_pos_mem_t = table(temporal_rows(frames, memory.length))

    def init_weights(self) -> None:
        """Initialise the position tables and, by ``init_cfg``, the rest."""
        super().init_weights()
        if not self.rel_pos_zero_init:
            for name, param in self.named_parameters():
                if name.startswith('rel_pos'):
                    trunc_normal_(param, std=0.02)

    def key_size(self, size: Size) -> Size:
        """Grid of the pooled keys of an input grid (T, H, W)."""
        return pooled_size(size, self.stride_kv)

    def entry_size(self, key_size: Size) -> Size:
        """Grid of a memory entry as it is attended."""
        if self.compress_k is None:
            return key_size
        return self.compress_k.out_size(key_size)

    def empty_memory(self, batch_size: int, size: Size, dtype: torch.dtype,
                     device: torch.device) -> LayerMemory:
        """Memory before the first clip of an input grid (T, H, W): zeros."""
        spec, key_size = self.memory, self.key_size(size)

        def zeros(num: int, size: Size) -> Tuple[Tensor, ...]:
            shape = batch_size, 1 + math.prod(size), self.in_dims
            return tuple(torch.zeros(shape, dtype=dtype, device=device)
                         for _ in range(num))

        return LayerMemory(
            *(zeros(spec.compress_age, key_size) for _ in 'kv'),
            *(zeros(spec.num_compressed, self.entry_size(key_size))
              for _ in 'kv'))

    @property
    def compress_stride(self) -> int:
        """int: temporal stride of the compression, 1 without one."""
        if self.compress_k is None:
            return 1
        return self.compress_k.conv.stride[0]

    def _recall(
        self, memory: LayerMemory, key_size: Size, valid: Tensor
    ) -> Tuple[List[Tensor], List[Tensor], LayerMemory]:
        """Compress the entry whose time has come; pick the attended ones.

        Gives attended keys and values, oldest first, and the memory after the
        compression, still without the current clip.
        """
        spec = self.memory
        if self.compress_k is None:
            k, v, kept = memory.raw_k, memory.raw_v, memory
        else:
            new_k, new_v = pool_norm(
                (memory.raw_k[-1], memory.raw_v[-1]), key_size,
                [self.compress_k.pool, self.compress_v.pool],
                eps=self.norm_eps)
            k = (*memory.raw_k[:-1], new_k, *memory.k)
            v = (*memory.raw_v[:-1], new_v, *memory.v)
            if spec.zero_mask:
                # An entry of an earlier video is zeroed again after its
                # compression turned zeros into the norm's bias.
                alive = valid[:, spec.compress_age - 1, None, None]
                new_k, new_v = (x.masked_fill(~alive, 0.)
                                for x in (new_k, new_v))
            num = len(memory.k)
            kept = LayerMemory(memory.raw_k, memory.raw_v,
                               (new_k, *memory.k)[:num],
                               (new_v, *memory.v)[:num])
        pick = slice(spec.stride - 1, None, spec.stride)
        return list(k[pick])[::-1], list(v[pick])[::-1], kept

    def _layout(self, size: Size, remembers: bool) -> Layout:
        """Queries and keys of an input grid (T, H, W)."""
        compress = None
        if remembers and self.compress_k is not None:
            conv = self.compress_k.conv
            compress = conv.kernel_size, conv.stride
        # Sizes may be symbols of a tracer, which are not to be kept.
        known = not is_compiling() and set(map(type, size)) == {int}
        make = _layout if known else _make_layout
        return make(size, self.stride_q, self.stride_kv, compress,
                    self.memory.length if remembers else 0, self.causal)

    def _positions(self, layout: Layout) -> Tuple[Tensor, ...]:
        """Position tables that a layout needs."""
        names = _TABLES if layout.num_entries else _TABLES[:3]
        # Past nn.Module, but FSDP keeps them elsewhere.
        own = self._parameters
        return tuple([own[x] if x in own else getattr(self, x)
                      for x in names])

    def _fused(self, q: Tensor, k: Tensor, v: Tensor, layout: Layout,
               hidden: Optional[Tensor], shared: Dict) -> Tensor:
        extra = extra_channels(layout, q.shape[-1])
        positions = folding(self._positions(layout), layout, extra, self.scale,
                            self.compress_stride)
        key = (*layout[1:], extra)
        if key not in shared:
            shared[key] = key_channels(layout, hidden, extra, q.dtype,
                                       q.device)
        return fused_attention(q, k, v, *positions, shared[key], layout,
                               self.scale, self.residual_pooling)

    def _explicit(self, q: Tensor, k: Tensor, v: Tensor, layout: Layout,
                  hidden: Optional[Tensor], shared: Dict) -> Tensor:
        tables = pair_tables(
            self._positions(layout), layout, self.compress_stride)
        return explicit_attention(q, k, v, *tables, hidden, layout,
                                  self.scale, self.residual_pooling)

    def weights(self, q: Tensor, k: Tensor, layout: Layout,
                hidden: Optional[Tensor]) -> Tensor:
        """:func:`attention_weights`, which :meth:`forward` never stores."""
        tables = pair_tables(
            self._positions(layout), layout, self.compress_stride)
        return attention_weights(q, k, *tables, hidden, layout, self.scale)

    def forward(self, x: Tensor, size: Size, memory: Optional[LayerMemory],
                valid: Optional[Tensor], hidden: Optional[Tensor],
                shared: Dict) -> Tuple[Tensor, Optional[LayerMemory]]:
        """Attend to the clip and to what is remembered.

        Args:
            x (Tensor): Class token and grid tokens, (B, 1 + T*H*W, C).
            size (tuple[int]): Grid (T, H, W).
            memory (LayerMemory, optional): None where nothing is remembered.
            valid (Tensor, optional): Bool, (B, entries), newest first.
            hidden (Tensor, optional): Bool, (B, M), oldest first: attended
                entries that nobody sees.
            shared (dict): What the layers of one step share of what they
                compute of ``hidden``; empty at first.

        Returns:
            tuple: Tokens (B, 1 + T'*H'*W', C') and the memory with the
            current clip as its newest entry (None if none came in).
        """
        own = self._modules
        q, k, v = pool_norm(
            x, size, [own[f'pool_{i}'].pool for i in 'qkv'], self.causal,
            self.norm_eps)
        layout = self._layout(size, memory is not None)
        if memory is not None:
            past_k, past_v, memory = self._recall(memory, layout.k_size, valid)
            # Memory is kept in the dtype of the activations (autocast).
            memory = LayerMemory((k, *memory.raw_k[:-1]),
                                 (v, *memory.raw_v[:-1]), memory.k, memory.v)
            # What was remembered may be of another one.
            k, v = (torch.cat((*past, x), 1).to(x.dtype)
                    for past, x in ((past_k, k), (past_v, v)))
        q, k, v = project((q, k, v), [own[i] for i in 'qkv'], self.width)
        # Tools that count operations or export know the plain form only.
        attend = self._explicit if torch.jit.is_tracing() else self._fused
        out = attend(q, k, v, layout, hidden, shared)
        return self.proj(out.flatten(-2)), memory
