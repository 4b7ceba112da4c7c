# Copyright (c) mmaction_memvit contributors. All rights reserved.
import math
from typing import List, NamedTuple, Optional, Tuple

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from mmengine.model.weight_init import trunc_normal_
from torch import Tensor

from .folded_attention import Positions, explicit_attention, fused_attention
from .memory_compression import MemoryCompression
from .relative_position import (
    current_tables,
    memory_tables,
    spatial_rows,
    temporal_rows,
)
from .stream_memory import LayerMemory
from .token_pooling import TokenPooling, as_tokens

Size = Tuple[int, int, int]


class MemorySpec(NamedTuple):
    """How a layer remembers.

    Args:
        length (int): Attended entries, M.
        stride (int): Clips between attended entries, the gap.
        compress_age (int): Age in clips at which an entry is compressed: the
            stride if at its first use, 1 if at the next step, ``length *
            stride`` if never.
        compress (dict, optional): Kernel and stride of the compression.
        zero_mask (bool): Whether entries of an earlier video are attended as
            zeros instead of not at all.
    """
    length: int
    stride: int
    compress_age: int
    compress: Optional[dict]
    zero_mask: bool

    @property
    def num_entries(self) -> int:
        """int: entries kept, attended or waiting."""
        return self.length * self.stride

    @property
    def num_compressed(self) -> int:
        """int: of these, the compressed ones."""
        return self.num_entries - self.compress_age

    def attended(self, mask: Tensor) -> Tensor:
        """Columns of the attended entries, oldest first.

        Args:
            mask (Tensor): (B, entries), newest first.

        Returns:
            Tensor: (B, M).
        """
        return mask[:, self.stride - 1::self.stride].flip(1)


def pooled_size(size: Size, stride: Size) -> Size:
    """Grid (T, H, W) after pooling by ``stride``, rounded up."""
    return tuple(-(-n // s) for n, s in zip(size, stride))


def new_mask(like: Tensor, length: int, value: bool) -> Tensor:
    """Bool (B, length), all ``value``."""
    make = torch.ones if value else torch.zeros
    return make(
        like.shape[0], length, dtype=torch.bool, device=like.device)


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
        pool_kernel (tuple[int]): Pooling kernel. Defaults to (3, 3, 3).
        qkv_bias (bool): Defaults to True.
        residual_pooling (bool): Whether the pooled query is added to the
            output, class token excluded. Defaults to True.
        rel_pos_zero_init (bool): Defaults to False.
        norm_eps (float): Epsilon of the norms. Defaults to 1e-6.
        memory (MemorySpec, optional): None for a layer without memory.
        causal (bool): Whether a token sees frames up to its own only and
            nobody the current class token. Defaults to False.
        init_cfg (dict, optional): Defaults to None.
    """

    def __init__(self,
                 in_dims: int,
                 out_dims: int,
                 num_heads: int,
                 in_size: Size,
                 stride_q: Size,
                 stride_kv: Size,
                 pool_kernel: Size = (3, 3, 3),
                 qkv_bias: bool = True,
                 residual_pooling: bool = True,
                 rel_pos_zero_init: bool = False,
                 norm_eps: float = 1e-6,
                 memory: Optional[MemorySpec] = None,
                 causal: bool = False,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.num_heads = num_heads
        self.scale = (out_dims // num_heads)**-0.5
        self.residual_pooling = residual_pooling
        self.rel_pos_zero_init = rel_pos_zero_init
        self.memory = memory
        self.causal = causal
        self.stride_kv = tuple(stride_kv)

        def pooling(stride: Size) -> TokenPooling:
            return TokenPooling(in_dims, num_heads, pool_kernel, stride,
                                norm_eps, causal)

        self.pool_q = pooling(stride_q)
        self.pool_k = pooling(stride_kv)
        self.pool_v = pooling(stride_kv)
        self.q = nn.Linear(in_dims, out_dims, bias=qkv_bias)
        self.k = nn.Linear(in_dims, out_dims, bias=qkv_bias)
        self.v = nn.Linear(in_dims, out_dims, bias=qkv_bias)
        self.proj = nn.Linear(out_dims, out_dims)

        width = out_dims // num_heads
        frames = in_size[0]
        # Tables follow the shorter side of the input.
        q_short, kv_short = (
            min(pooled_size(in_size, stride)[1:])
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
            self.compress_k = MemoryCompression(
                in_dims, norm_eps=norm_eps, **memory.compress)
            self.compress_v = MemoryCompression(
                in_dims, norm_eps=norm_eps, **memory.compress)
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

        Returns:
            tuple: Attended keys and values, oldest first, and the memory
            after the compression, still without the current clip.
        """
        spec = self.memory
        if self.compress_k is None:
            k, v, kept = memory.raw_k, memory.raw_v, memory
        else:
            new_k = self.compress_k(memory.raw_k[-1], key_size)
            new_v = self.compress_v(memory.raw_v[-1], key_size)
            k = (*memory.raw_k[:-1], new_k, *memory.k)
            v = (*memory.raw_v[:-1], new_v, *memory.v)
            if spec.zero_mask:
                # An entry of an earlier video is zeroed again after its
                # compression turned zeros into the norm's bias.
                alive = valid[:, spec.compress_age - 1, None, None]
                new_k, new_v = (x.masked_fill(~alive, 0.)
                                for x in (new_k, new_v))
            num = len(memory.k)
            # As all that is remembered: autocast on CUDA normalises in
            # float32.
            dtype = memory.raw_k[0].dtype
            new_k, new_v = new_k.to(dtype), new_v.to(dtype)
            kept = LayerMemory(memory.raw_k, memory.raw_v,
                               (new_k, *memory.k)[:num],
                               (new_v, *memory.v)[:num])
        pick = slice(spec.stride - 1, None, spec.stride)
        return list(k[pick])[::-1], list(v[pick])[::-1], kept

    def forward(
        self,
        cls: Tensor,
        grid: Tensor,
        memory: Optional[LayerMemory] = None,
        valid: Optional[Tensor] = None,
        filled: Optional[Tensor] = None
    ) -> Tuple[Tensor, Tensor, Optional[LayerMemory]]:
        """Attend to the clip and to what is remembered.

        Args:
            cls (Tensor): Class token, (B, 1, C).
            grid (Tensor): Grid tokens, (B, T, H, W, C).
            memory (LayerMemory, optional): Defaults to None: no memory.
            valid (Tensor, optional): Bool, (B, entries), newest first.
            filled (Tensor, optional): Bool, (B, entries).

        Returns:
            tuple: Class token (B, 1, C'), grid (B, T', H', W', C') and the
            memory with the current clip as its newest entry (None if none
            came in).
        """
        q_cls, q_grid = self.pool_q(cls, grid)
        k_grid = self.pool_k(cls, grid)
        key_size = tuple(k_grid[1].shape[1:4])
        k, v = as_tokens(*k_grid), as_tokens(*self.pool_v(cls, grid))
        q_cls, q_grid = [
            self.q(x).unflatten(-1, (self.num_heads, -1))
            for x in (q_cls, q_grid)
        ]
        q_size = tuple(q_grid.shape[1:4])

        hidden, past = None, ()
        if memory is not None:
            spec = self.memory
            # Memory is kept in the dtype of the activations (autocast).
            new_k, new_v = k.to(q_grid.dtype), v.to(q_grid.dtype)
            past_k, past_v, memory = self._recall(memory, key_size, valid)
            k, v = torch.cat((*past_k, k), 1), torch.cat((*past_v, v), 1)
            entry_size = self.entry_size(key_size)
            past = (memory_tables(self.rel_pos_mem_t, self.rel_pos_mem_h,
                                  self.rel_pos_mem_w, q_size, entry_size,
                                  spec.length, self.compress_stride),
                    entry_size, spec.length)
            mask = spec.attended(filled if spec.zero_mask else valid)
            hidden = ~mask.repeat_interleave(past_k[0].shape[1], dim=1)
            memory = LayerMemory((new_k, *memory.raw_k[:-1]),
                                 (new_v, *memory.raw_v[:-1]), memory.k,
                                 memory.v)
        if self.causal or hidden is not None:
            # A causal layer hides the current class token, which has seen
            # all frames.
            own = new_mask(k, 1, self.causal), new_mask(
                k, math.prod(key_size), False)
            hidden = torch.cat(own if hidden is None else (hidden, *own), 1)

        pos = Positions(
            current_tables(self.rel_pos_t, self.rel_pos_h, self.rel_pos_w,
                           q_size, key_size),
            key_size,
            *past,
            causal=self.causal)
        k = self.k(k).unflatten(-1, (self.num_heads, -1))
        v = self.v(v).unflatten(-1, (self.num_heads, -1))
        # Tools that count operations or export know the plain form only.
        attend = (
            explicit_attention
            if torch.jit.is_tracing() else fused_attention)
        out_cls, out_grid = attend(q_cls, q_grid, k, v, hidden, pos,
                                   self.scale)
        if self.residual_pooling:
            out_grid = out_grid + q_grid
        return (self.proj(out_cls.flatten(-2)),
                self.proj(out_grid.flatten(-2)), memory)
