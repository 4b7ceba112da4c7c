# Copyright (c) mmaction_memvit contributors. All rights reserved.
from dataclasses import dataclass
from typing import Dict, Optional

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmaction_memvit.messages import check_choice
from mmaction_memvit.ops.precision import full_precision

MEMORIES = ('associative', 'average')
INFUSIONS = ('gating', 'residual')


@dataclass(frozen=True)
class VideoMemory:
    """What the clips of each video have written. Memories add up.

    Attributes:
        total (Tensor): Sum over clips and places; (B, C / r, C / r)
            associative, (B, C / r) average pooling.
        count (int): Places summed for each video.
    """

    total: Tensor
    count: int

    def __add__(self, other: 'VideoMemory') -> 'VideoMemory':
        return VideoMemory(self.total + other.total, self.count + other.count)

    def detach(self) -> 'VideoMemory':
        """The memory without its graph."""
        return VideoMemory(self.total.detach(), self.count)


class ClipMemory(BaseModule):
    r"""Memory of a video, written and read by its clips.

    From `Collaborative Memories <https://arxiv.org/abs/2104.01198>`_.
    X_n is the feature map of clip n, as a matrix of its L = T * H * W places
    by C channels. The clips write

    - associative: M = sum_n (X_n W_k)^T (X_n W_v), C/r x C/r;
    - average: M = mean_n,l(X_n) W, C/r;

    and clip n reads M_n = (X_n W_q) M, which is an attention to all clips
    without softmax, or M_n = M. It is infused as

    - gating: X_n * (1 + sigmoid(norm(m_n W_o))), m_n the mean of M_n over L;
    - residual: X_n + norm(M_n W_o).

    All W are 1x1x1 convolutions with bias.

    A checkpoint knows the options it was trained with: with others its
    weights would fit, in part, and mean something else. So that is an error.

    Args:
        in_channels (int): C.
        memory (str): 'associative' or 'average'. Defaults to 'associative'.
        infusion (str): 'gating' or 'residual'. Defaults to 'gating'.
        reduction (int): r. Defaults to 4.
        normalize (bool): Whether associative memory is divided by the number
            of places, N * L. The paper does not say. Defaults to True: scores
            then do not hang on how many clips, of which size, a test takes;
            and half precision does not overflow. An average is one anyway.
        norm_cfg (dict, optional): Of the norm after W_o, for 5-D input. None:
            without. Defaults to ``dict(type='BN3d')``. With gating it sees
            one value per clip and channel, so that BatchNorm needs clips of
            many videos, 8 or so over all processes: of two it leaves which is
            the greater and nothing else.
        zero_init (bool): Whether the norm's weight (without a norm: W_o)
            starts at zero, so that residual infusion starts as the identity,
            and gating as a factor of 1.5. Defaults to True.

    Raises:
        ValueError: If an option is none of these, or r does not divide C.
    """

    # All of it is new to a checkpoint of a model without memory.
    memory_weights = ''

    def __init__(self, in_channels: int, memory: str = 'associative',
                 infusion: str = 'gating', reduction: int = 4,
                 normalize: bool = True,
                 norm_cfg: Optional[dict] = dict(type='BN3d'),  # noqa: B006
                 zero_init: bool = True) -> None:
        super().__init__()
        check_choice('memory', memory, MEMORIES)
        check_choice('infusion', infusion, INFUSIONS)
        if not isinstance(reduction, int) or reduction < 1 \
                or in_channels % reduction:
            good = [r for r in (1, 2, 4, 8, 16) if in_channels % r == 0]
            raise ValueError(
                f'reduction={reduction} does not divide {in_channels} '
                f'channels: use one that does, such as {good}')
        self.in_channels = in_channels
        # In the checkpoint, see _check_options.
        self.register_buffer(
            'options',
            torch.tensor([MEMORIES.index(memory), INFUSIONS.index(infusion),
                          reduction, int(normalize or memory == 'average')]))
        self._register_load_state_dict_pre_hook(
            _check_options, with_module=True)
        self.associative = memory == 'associative'
        self.gating = infusion == 'gating'
        self.normalize = normalize
        channels = in_channels // reduction
        if self.associative:
            self.query = nn.Conv3d(in_channels, channels, 1)
            self.key = nn.Conv3d(in_channels, channels, 1)
        self.value = nn.Conv3d(in_channels, channels, 1)
        self.out = nn.Conv3d(channels, in_channels, 1)
        self.norm = None
        if norm_cfg is not None:
            self.norm = build_norm_layer(norm_cfg, in_channels)[1]
        if zero_init:
            last = self.out if self.norm is None else self.norm
            if getattr(last, 'weight', None) is None:
                raise ValueError(
                    f'norm_cfg={norm_cfg} has no weights to start from zero: '
                    'add affine=True to it, or set zero_init=False')
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def write(self, x: Tensor, num_clips: int) -> VideoMemory:
        """What clips add to the memories of their videos.

        ``x`` is (B * N, C, T, H, W), the N = ``num_clips`` of a video in a
        row; the sums are in float32 at least.
        """
        places = x.shape[2:].numel()
        if not self.associative:
            value = self.value(x.mean((2, 3, 4), keepdim=True))
            value = value.view(-1, num_clips, value.shape[1])
            total = value.to(_sum_dtype(value)).sum(1) * places
            return VideoMemory(total, places * num_clips)
        key, value = self.key(x), self.value(x)
        dtype = _sum_dtype(key)
        key, value = (y.to(dtype).view(-1, num_clips, y.shape[1], places)
                      for y in (key, value))
        with full_precision(x):
            total = torch.einsum('bnkl,bnvl->bkv', key, value)
        return VideoMemory(total, places * num_clips)

    def retrieve(self, x: Tensor, memory: VideoMemory,
                 num_clips: int) -> Tensor:
        """What clips (B * N, C, T, H, W) get from their video's memory, M_n.

        ``num_clips`` N need not be as many as have written. Gives (B * N, C /
        r, T, H, W), of an average (B * N, C / r, 1, 1, 1).
        """
        total = memory.total
        if self.normalize or not self.associative:
            total = total / memory.count
        if not self.associative:
            total = total.repeat_interleave(num_clips, 0)
            return total[..., None, None, None]
        query = self.query(x)
        shape, dtype = query.shape, query.dtype
        query = query.to(total.dtype).view(-1, num_clips, *shape[1:])
        with full_precision(x):
            out = torch.einsum('bnkl,bkv->bnvl', query.flatten(3), total)
        return out.reshape(shape).to(dtype)

    def read(self, x: Tensor, memory: VideoMemory, num_clips: int) -> Tensor:
        """Features infused with the memory; arguments as :meth:`retrieve`."""
        # The mean of (X_n W_q) M over places is that of X_n, W_q and M being
        # linear: gates cost next to nothing.
        source = x.mean((2, 3, 4), keepdim=True) if self.gating else x
        read = self.retrieve(source, memory, num_clips).to(x.dtype)
        read = self.out(read)
        if self.norm is not None:
            read = self.norm(read)
        if self.gating:
            return (x * (1 + read.sigmoid())).to(x.dtype)
        return (x + read).to(x.dtype)


def _describe(options: Tensor) -> str:
    memory, infusion, reduction, normalize = options.tolist()
    return (f'memory={MEMORIES[memory]!r}, infusion={INFUSIONS[infusion]!r}, '
            f'reduction={reduction}, normalize={bool(normalize)}')


def _check_options(module: ClipMemory, state: Dict[str, Tensor], prefix: str,
                   *args) -> None:
    """Hook before ``state`` is loaded: an error if its memory is another."""
    found = state.get(prefix + 'options')
    if (found is not None and found.shape == module.options.shape
            and not torch.equal(found.cpu(), module.options.cpu())):
        raise ValueError(
            f'the checkpoint has a memory of {_describe(found)}, but this '
            f'model one of {_describe(module.options)} ({prefix[:-1]}). '
            'Remedy: give the options it was trained with, by the config that '
            'training has written into its work directory or by the same '
            '--cfg-options')


def _sum_dtype(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
