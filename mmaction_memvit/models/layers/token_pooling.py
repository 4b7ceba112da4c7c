# Copyright (c) mmaction_memvit contributors. All rights reserved.
from contextlib import nullcontext
from typing import Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ..utils.precision import activation_dtype


def depthwise_conv(grid: Tensor, weight: Tensor, stride: Tuple[int, int, int],
                   causal: bool) -> Tensor:
    """Depthwise 3-D convolution of a grid of tokens.

    The grid stays in its channels-last layout, which needs no copy and which
    CPU kernels like best: 4 to 20 times the speed of folding heads into the
    batch.

    Args:
        grid (Tensor): (B, T, H, W, C).
        weight (Tensor): (C / heads, 1, kt, kh, kw), shared by the heads.
        stride (tuple[int]): Of time, height and width.
        causal (bool): Whether a token sees itself and the past only.

    Returns:
        Tensor: (B, T', H', W', C).
    """
    channels, frames = grid.shape[-1], grid.shape[1]
    kernel = weight.shape[2:]
    padding = [k // 2 for k in kernel]
    if causal:
        padding[0] = kernel[0] - 1
    heads = channels // weight.shape[0]
    weight = weight.repeat(heads, 1, 1, 1, 1)
    x = grid.permute(0, 4, 1, 2, 3)
    dtype = activation_dtype(x)
    # On a CPU, the gradient of the kernel in bfloat16 reads memory nobody
    # has written where frames are fewer than the kernel is long (torch 2.13):
    # NaN, now and then.
    exact = x.device.type == 'cpu' and dtype.itemsize < 4
    with torch.autocast('cpu', enabled=False) if exact else nullcontext():
        if exact:
            x, weight = x.float(), weight.float()
        x = F.conv3d(
            x, weight, stride=stride, padding=padding, groups=channels)
    x = (x.to(dtype) if exact else x).permute(0, 2, 3, 4, 1)
    return x[:, :frames] if causal else x


class TokenPooling(nn.Module):
    """Strided pooling of q, k or v before its projection (MViT, eq. 1).

    A depthwise convolution over the grid tokens, shared over heads and
    without bias, then LayerNorm over a head's channels on all tokens; the
    class token by-passes the convolution.

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
        self.num_heads = num_heads
        self.stride = tuple(stride)
        self.causal = causal

    def normalize(self, x: Tensor) -> Tensor:
        """LayerNorm over each head's channels; (..., C) to (..., C)."""
        width = x.shape[-1] // self.num_heads
        return self.norm(x.reshape(x.shape[0], -1, width)).view(x.shape)

    def forward(self, cls: Tensor, grid: Tensor) -> Tuple[Tensor, Tensor]:
        """Pool (B, 1, C) and (B, T, H, W, C)."""
        grid = depthwise_conv(grid, self.conv.weight, self.stride, self.causal)
        return self.normalize(cls), self.normalize(grid)


def as_tokens(cls: Tensor, grid: Tensor) -> Tensor:
    """Class token and grid in a row: (B, 1 + T'H'W', C)."""
    return torch.cat((cls, grid.flatten(1, 3)), dim=1)
