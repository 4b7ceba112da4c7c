# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Tuple

import torch.nn as nn

from mmaction_memvit.ops import Pool, out_size

Size = Tuple[int, int, int]


class TokenPooling(nn.Module):
    """Strided depthwise convolution over grid tokens, then LayerNorm.

    Pools q, k or v before its projection, heads sharing the kernel (MViT, eq.
    1), and compresses entries of the memory (MeMViT, section 3.3). Without
    bias; the class token by-passes the convolution. :func:`pool_norm` does
    it, for all that is pooled of some tokens at once, by :attr:`pool`.

    Args:
        channels (int): Channels of the kernel: of a head, or of the entry.
        kernel_size (tuple[int]): Defaults to (7, 3, 3).
        stride (tuple[int]): Defaults to (4, 2, 2).
        norm_eps (float): Epsilon of the LayerNorm. Defaults to 1e-6.
    """

    def __init__(self, channels: int, kernel_size: Size = (7, 3, 3),
                 stride: Size = (4, 2, 2), norm_eps: float = 1e-6) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, channels, kernel_size, stride,
                              groups=channels, bias=False)
        self.norm = nn.LayerNorm(channels, eps=norm_eps)

    def out_size(self, size: Size) -> Size:
        """Grid that is left of a grid (T, H, W)."""
        return out_size(size, self.conv.kernel_size, self.conv.stride)

    @property
    def pool(self) -> Pool:
        """Pool: for :func:`pool_norm`."""
        # Past nn.Module, which looks for layers at every turn.
        conv, norm = self._modules.values()
        return Pool(conv.weight, norm.weight, norm.bias, conv.stride)
