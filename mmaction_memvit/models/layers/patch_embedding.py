# Copyright (c) mmaction_memvit contributors. All rights reserved.
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from mmaction_memvit.ops.constants import is_exporting
from mmaction_memvit.ops.precision import activation_dtype

# Columns of a matrix product on a GPU: 16 bytes in any dtype.
_ALIGN = 8


def embed_patches(x: Tensor, conv: nn.Conv3d) -> Tensor:
    """Overlapping patches of a clip as tokens.

    From ``x`` (B, C_in, T, H, W) to (B, T'*H'*W', C), not contiguous on a
    CPU.
    """
    if x.device.type == 'cpu' or is_exporting():
        return conv(x).flatten(2).transpose(1, 2)
    return _by_product(x, conv)


def _by_product(x: Tensor, conv: nn.Conv3d) -> Tensor:
    """The convolution as one matrix product, which cuDNN makes little of.

    The kernel's width is filled up with zeros.
    """
    kernel, stride, padding = conv.kernel_size, conv.stride, conv.padding
    fill = -kernel[2] % _ALIGN
    pads = [p for n in reversed(padding) for p in (n, n)]
    pads[1] += fill
    x = F.pad(x.to(activation_dtype(x)), pads)
    for axis, (k, s) in enumerate(zip((*kernel[:2], kernel[2] + fill), stride),
                                  2):
        x = x.unfold(axis, k, s)
    # (B, C_in, T', H', W', kt, kh, kw) -> (B, T'*H'*W', C_in*kt*kh*kw)
    x = x.permute(0, 2, 3, 4, 1, 5, 6, 7).flatten(4).flatten(1, 3)
    weight = F.pad(conv.weight, (0, fill)).flatten(1)
    return F.linear(x, weight, conv.bias)
