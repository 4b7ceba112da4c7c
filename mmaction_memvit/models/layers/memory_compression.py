# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Tuple

import torch.nn as nn

from mmaction_memvit.ops import Pool, out_size


class MemoryCompression(nn.Module):
    """Learned compression of one memory entry (MeMViT, section 3.3).

    A strided depthwise convolution over the grid tokens, without bias, then
    LayerNorm over all channels on all tokens; the class token by-passes the
    convolution.

    Args:
        channels (int): Channels C of the entry.
        kernel_size (tuple[int]): Defaults to (7, 3, 3).
        stride (tuple[int]): Defaults to (4, 2, 2).
        norm_eps (float): Epsilon of the LayerNorm. Defaults to 1e-6.
    """

    def __init__(self,
                 channels: int,
                 kernel_size: Tuple[int, int, int] = (7, 3, 3),
                 stride: Tuple[int, int, int] = (4, 2, 2),
                 norm_eps: float = 1e-6) -> None:
        super().__init__()
        self.conv = nn.Conv3d(
            channels,
            channels,
            kernel_size,
            stride,
            groups=channels,
            bias=False)
        self.norm = nn.LayerNorm(channels, eps=norm_eps)

    def out_size(self, size: Tuple[int, int, int]) -> Tuple[int, int, int]:
        """Grid (T", H", W") of an entry whose grid was (T', H', W')."""
        return out_size(size, self.conv.kernel_size, self.conv.stride)

    @property
    def pool(self) -> Pool:
        """Pool: for :func:`pool_norm`, from (B, 1 + T'H'W', C)."""
        return Pool(self.conv.weight, self.norm.weight, self.norm.bias,
                    self.conv.stride)
