# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Tuple

import torch
import torch.nn as nn
from torch import Tensor

from mmaction_memvit.ops import Pool, out_size, pool_norm


class TokenPooling(nn.Module):
    """Strided pooling of q, k or v before its projection (MViT, eq. 1).

    A depthwise convolution over the grid tokens, shared over heads and
    without bias, then LayerNorm over a head's channels on all tokens; the
    class token by-passes the convolution. Layers that pool several times
    pass each :attr:`pool` to one call of :func:`pool_norm`.

    Args:
        channels (int): Input channels C.
        num_heads (int): Heads that share the kernel; must divide C.
        kernel_size (tuple[int]): Of the convolution.
        stride (tuple[int]): Of the convolution.
        norm_eps (float): Epsilon of the LayerNorm.
        causal (bool): Whether tokens see the past only. Defaults to False.
    """

    def __init__(self,
                 channels: int,
                 num_heads: int,
                 kernel_size: Tuple[int, int, int],
                 stride: Tuple[int, int, int],
                 norm_eps: float,
                 causal: bool = False) -> None:
        super().__init__()
        width = channels // num_heads
        self.conv = nn.Conv3d(
            width, width, kernel_size, stride, groups=width, bias=False)
        self.norm = nn.LayerNorm(width, eps=norm_eps)
        self.stride = tuple(stride)
        self.causal = causal

    @property
    def pool(self) -> Pool:
        """Pool: for :func:`pool_norm`."""
        return Pool(self.conv.weight, self.norm.weight, self.norm.bias,
                    self.stride)

    def forward(self, cls: Tensor, grid: Tensor) -> Tuple[Tensor, Tensor]:
        """Pool (B, 1, C) and (B, T, H, W, C)."""
        size = tuple(grid.shape[1:4])
        tokens = pool_norm(
            as_tokens(cls, grid), size, [self.pool], self.causal,
            self.norm.eps)[0]
        out = out_size(size, self.conv.kernel_size, self.stride, self.causal)
        return tokens[:, :1], tokens[:, 1:].unflatten(1, out)


def as_tokens(cls: Tensor, grid: Tensor) -> Tensor:
    """Class token and grid in a row: (B, 1 + T'H'W', C)."""
    return torch.cat((cls, grid.flatten(1, 3)), dim=1)
