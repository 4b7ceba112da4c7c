# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
import torch.utils.checkpoint as cp
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor

from .linear import Linear, cast_together
from .mlp import MLP
from .normalize import add_normalize
from .pooling_attention import PoolingAttention, Size
from .stochastic_depth import add_branch
from .stream_memory import LayerMemory


class MeMViTBlock(BaseModule):
    """Multiscale transformer block with memory (MeMViT, section 3).

    Args:
        in_dims (int): Input channels.
        out_dims (int): Output channels; a change happens inside attention.
        num_heads (int): Heads.
        in_size (tuple[int]): Input grid (T, H, W) the tables are made for.
        stride_q (tuple[int]): Pooling stride of queries, 1 in time.
        mlp_ratio (float): Hidden width of the MLP, in input widths.
        drop_path (float): Stochastic depth rate.
        norm_cfg (dict): Of LayerNorm.
        with_cp (bool): Whether to recompute the block in the backward pass
            to save memory.
        **kwargs: For :class:`PoolingAttention`.
    """

    def __init__(self, in_dims: int, out_dims: int, num_heads: int,
                 in_size: Size, stride_q: Size, mlp_ratio: float,
                 drop_path: float, norm_cfg: dict, with_cp: bool,
                 **kwargs) -> None:
        super().__init__()
        self.norm1 = build_norm_layer(norm_cfg, in_dims)[1]
        self.attn = PoolingAttention(
            in_dims, out_dims, num_heads, in_size, stride_q,
            norm_eps=norm_cfg.get('eps', 1e-5), **kwargs)
        self.norm2 = build_norm_layer(norm_cfg, out_dims)[1]
        self.mlp = MLP(out_dims, int(out_dims * mlp_ratio))
        self.proj = (
            Linear(in_dims, out_dims) if in_dims != out_dims else None)
        self.stride_q = tuple(stride_q)
        self.drop_path = drop_path
        self.with_cp = with_cp

    def _skip(self, x: Tensor, normed: Tensor, size: Size) -> Tensor:
        """Skip path: where the width changes, of the *normalised* input.

        The grid is max pooled in space, channels last.
        """
        if self.proj is not None:
            x = self.proj(normed)
        stride = self.stride_q[1:]
        if max(stride) == 1:
            return x
        kernel = [s + 1 if s > 1 else s for s in stride]
        grid = x[:, 1:].reshape(-1, *size[1:], x.shape[-1])
        grid = F.max_pool2d(
            grid.permute(0, 3, 1, 2), kernel, stride, [k // 2 for k in kernel])
        grid = grid.permute(0, 2, 3, 1).reshape(x.shape[0], -1, x.shape[-1])
        return torch.cat((x[:, :1], grid), dim=1)

    def _forward(self, x: Tensor, branch: Optional[Tensor],
                 keep: Sequence[Optional[Tensor]], size: Size,
                 *args) -> Tuple[Tensor, Tensor, Optional[LayerMemory]]:
        x, normed = add_normalize(self.norm1, x, branch, keep[0])
        branch, memory = self.attn(normed, size, *args)
        x, normed = add_normalize(self.norm2, self._skip(x, normed, size),
                                  branch, keep[1])
        return x, self.mlp(normed), memory

    def _cast_forward(self, *args) -> tuple:
        attn, mlp = self.attn, self.mlp
        layers = [attn.q, attn.k, attn.v, attn.proj, mlp.fc1, mlp.fc2]
        if self.proj is not None:
            layers.append(self.proj)
        return cast_together(layers, self._forward, *args)

    def forward(
        self, x: Tensor, branch: Optional[Tensor],
        keep: Sequence[Optional[Tensor]], *args
    ) -> Tuple[Tensor, Tensor, Optional[LayerMemory]]:
        """One step.

        Args:
            x (Tensor): Tokens (B, 1 + T*H*W, C).
            branch (Tensor, optional): The residual branch of the block
                before, to be added to them; None in the first block.
            keep (Sequence[Tensor]): What to scale that branch and the one of
                attention by, (B, ) each (stochastic depth), or None.
            *args: As :class:`PoolingAttention` has them after ``x``.

        Returns:
            tuple: Tokens (B, 1 + T'*H'*W', C'), the branch of the MLP, which
            the next norm adds to them, and attention's memory.
        """
        if not self.with_cp or not torch.is_grad_enabled():
            return self._cast_forward(x, branch, keep, *args)
        # One tensor is kept rather than two.
        if branch is not None:
            x = add_branch(x, branch, keep[0])
        return cp.checkpoint(self._cast_forward, x, None, keep, *args,
                             use_reentrant=False)
