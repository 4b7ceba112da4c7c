# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Tuple

import torch.nn as nn

from mmaction_memvit.ops import Pool


class TokenPooling(nn.Module):
    """Strided pooling of q, k or v before its projection (MViT, eq. 1).

    A depthwise convolution over the grid tokens, shared over heads and
    without bias, then LayerNorm over a head's channels on all tokens; the
    class token by-passes the convolution. :func:`pool_norm` does it, for all
    that is pooled of some tokens at once, by each one's :attr:`pool`.

    Args:
        channels (int): Input channels C.
        num_heads (int): Heads that share the kernel; must divide C.
        kernel_size (tuple[int]): Of the convolution.
        stride (tuple[int]): Of the convolution.
        norm_eps (float): Epsilon of the LayerNorm.
    """

    def __init__(self,
                 channels: int,
                 num_heads: int,
                 kernel_size: Tuple[int, int, int],
                 stride: Tuple[int, int, int],
                 norm_eps: float) -> None:
        super().__init__()
        width = channels // num_heads
        self.conv = nn.Conv3d(
            width, width, kernel_size, stride, groups=width, bias=False)
        self.norm = nn.LayerNorm(width, eps=norm_eps)
        self.stride = tuple(stride)

    @property
    def pool(self) -> Pool:
        """Pool: for :func:`pool_norm`."""
        return Pool(self.conv.weight, self.norm.weight, self.norm.bias,
                    self.stride)
