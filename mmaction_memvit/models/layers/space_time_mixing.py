# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Attention within frames whose keys and values are mixed across frames.

From `Space-time Mixing Attention for Video Transformer
<https://arxiv.org/abs/2106.05968>`_, section 3.2: the cost is that of an image
transformer on each frame.
"""
from typing import NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
import torch.utils.checkpoint as cp
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmaction_memvit.memory import as_memory
from mmaction_memvit.ops.constants import is_exporting

from .linear import Linear, cast_together
from .mlp import MLP
from .normalize import add_normalize, normalize
from .stochastic_depth import add_branch, stochastic_depth


@as_memory
class FrameMemory(NamedTuple):
    """What a block keeps of a stream's frames; they do not add up.

    Args:
        tokens (Tensor): (B, ahead, N, C), frames that have come in and wait
            for the frames that they look at.
        mixed (Tensor): (B, window, N, 2, window * shifted), of keys and values
            of the frames before those: what later frames take.
    """
    tokens: Tensor
    mixed: Tensor


class Window(NamedTuple):
    """Which frames give channels of their keys and values to a frame.

    Args:
        size (int): Frames before, and as many after.
        shifted (int): Channels that each gives.
        look_ahead (bool): Whether those after do; else a frame keeps its own
            channels in their place.
        group_length (int, optional): Frames after which mixing is cut; None
            for the whole clip.
    """
    size: int = 0
    shifted: int = 0
    look_ahead: bool = True
    group_length: Optional[int] = None

    @property
    def ahead(self) -> int:
        """int: frames after a frame that it looks at."""
        return self.size if self.look_ahead else 0

    @property
    def past(self) -> slice:
        """slice: channels that are taken from frames before."""
        total = self.size * self.shifted
        return slice(total, 2 * total)


BY_THEMSELVES = Window()


def mix_frames(x: Tensor, past: Tensor, window: Window) -> Tensor:
    """Put channels of the frames around in the place of a frame's own.

    The first ``shifted`` channels of a frame t come from t + 1, the next from
    t + 2, ..., from t + size; then those from t - 1, ..., t - size; the rest
    is its own. Frames after the last are zeros.

    Args:
        x (Tensor): (B, F, ..., C), keys and values of F frames.
        past (Tensor): (B, size + F, ..., size * shifted), the channels
            ``window.past`` of those, and of the frames before them.
        window (Window): Of frames.

    Returns:
        Tensor: As x; of the last ``ahead`` frames it needs more frames to be
        final.
    """
    size, shifted, num = window.size, window.shifted, x.shape[1]
    if not size:
        return x
    slots = [slice(i * shifted, (i + 1) * shifted) for i in range(size)]
    parts = []
    for i, slot in enumerate(slots, 1):
        own = x[..., slot]
        if window.look_ahead:
            nothing = own.new_zeros(()).expand_as(own[:, :i])
            own = torch.cat((own[:, i:], nothing), 1)
        parts.append(own)
    parts += [past[:, size - i:size - i + num, ..., slot]
              for i, slot in enumerate(slots, 1)]
    return torch.cat((*parts, x[..., 2 * size * shifted:]), -1)


def attend(q: Tensor, k: Tensor, v: Tensor, there: Optional[Tensor]) -> Tensor:
    """Softmax attention, fused unless a trace is to show what is computed.

    Args:
        q (Tensor): (B, heads, N, C).
        k (Tensor): (B, heads, K, C).
        v (Tensor): Like k.
        there (Tensor, optional): Bool, (B, K), keys to attend to. Defaults to
            None: all.

    Returns:
        Tensor: Like q.
    """
    if there is not None:
        there = there[:, None, None]
    if not is_exporting():
        return F.scaled_dot_product_attention(q, k, v, there)
    scores = q @ k.transpose(-2, -1) * q.shape[-1]**-0.5
    if there is not None:
        scores = scores.masked_fill(~there, -torch.inf)
    return scores.softmax(-1) @ v


class MixingAttention(BaseModule):
    """Self-attention of the tokens of each frame, mixed across frames.

    Queries are a frame's own; the class token is mixed like any other;
    channels are counted over all heads (equation 7 of the paper).

    Args:
        dims (int): Channels C.
        num_heads (int): Heads.
        window (Window): Of frames.
        qkv_bias (bool): Whether the joint projection has a bias.
    """

    def __init__(self, dims: int, num_heads: int, window: Window,
                 qkv_bias: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = window
        self.qkv = Linear(dims, 3 * dims, bias=qkv_bias)
        self.proj = Linear(dims, dims)

    def forward(
            self, x: Tensor, before: Optional[Tensor] = None,
            exists: Optional[Tensor] = None,
            there: Optional[Tensor] = None) -> Tuple[Tensor, Optional[Tensor]]:
        """Attend.

        Args:
            x (Tensor): (B, T, N, C).
            before (Tensor, optional): :attr:`FrameMemory.mixed`. Defaults to
                None: zeros, at the start of each group of frames.
            exists (Tensor, optional): Bool, (B, T), False for frames before
                the start of a stream. Defaults to None: all do.
            there (Tensor, optional): Bool, (B, N), tokens to attend to.
                Defaults to None: all.

        Returns:
            tuple[Tensor, Tensor]: Like x without its last ``ahead`` frames if
            ``before`` was given, like x if not; and what takes the place of
            ``before`` after these frames.
        """
        window, frames = self.window, x.shape[1]
        q, kv = self.qkv(x).split((x.shape[-1], 2 * x.shape[-1]), -1)
        kv = kv.unflatten(-1, (2, -1))
        if before is None and window.group_length:
            kv = kv.reshape(-1, window.group_length, *kv.shape[2:])
        past = kv[..., window.past]
        if exists is not None:
            past = torch.where(exists[:, :, None, None, None], past,
                               past.new_zeros(()))
        first = before
        if before is None:
            first = past.new_zeros(past.shape[0], window.size, *past.shape[2:])
        past = torch.cat((first.to(past.dtype), past), 1)
        kv = mix_frames(kv, past, window)
        if before is not None:
            frames -= window.ahead
            q, kv = q[:, :frames], kv[:, :frames]
            before = past[:, frames:frames + window.size].to(before.dtype)
        heads = (x.flatten(0, -3).unflatten(-1, (self.num_heads, -1))
                 .transpose(1, 2) for x in (q, *kv.unbind(-2)))
        out = attend(*heads, there).transpose(1, 2).flatten(2)
        return self.proj(out.unflatten(0, (-1, frames))), before


class MixingBlock(BaseModule):
    """Transformer block with :class:`MixingAttention`, norms first.

    Args:
        dims (int): Channels C; the MLP's hidden layer is 4 times as wide.
        num_heads (int): Heads.
        window (Window): Of frames. Defaults to none: frames by themselves.
        qkv_bias (bool): Defaults to True.
        drop_path (float): Stochastic depth rate. Defaults to 0.
        eps (float): Of LayerNorm. Defaults to 1e-6.
        with_cp (bool): Whether to recompute the block in the backward pass
            to save memory. Defaults to False.
    """

    def __init__(self, dims: int, num_heads: int,
                 window: Window = BY_THEMSELVES, qkv_bias: bool = True,
                 drop_path: float = 0., eps: float = 1e-6,
                 with_cp: bool = False) -> None:
        super().__init__()
        self.dims = dims
        self.norm1 = nn.LayerNorm(dims, eps=eps)
        self.attn = MixingAttention(dims, num_heads, window, qkv_bias)
        self.norm2 = nn.LayerNorm(dims, eps=eps)
        self.mlp = MLP(dims, 4 * dims)
        self.drop_path = drop_path
        self.with_cp = with_cp

    def empty_memory(self, batch_size: int, num_tokens: int,
                     dtype: torch.dtype, device: torch.device) -> FrameMemory:
        """The memory at the start of streams."""
        dims, window = self.dims, self.attn.window
        new = {'dtype': dtype, 'device': device}
        return FrameMemory(
            torch.zeros(batch_size, window.ahead, num_tokens, dims, **new),
            torch.zeros(batch_size, window.size, num_tokens, 2,
                        window.size * window.shifted, **new))

    def forward(
        self, x: Tensor, memory: Optional[FrameMemory] = None,
        exists: Optional[Tensor] = None, there: Optional[Tensor] = None
    ) -> Tuple[Tensor, Optional[FrameMemory]]:
        """One clip.

        Args:
            x (Tensor): (B, T, N, C).
            memory (FrameMemory, optional): Of the frames before. Defaults to
                None: a clip by itself.
            exists (Tensor, optional): As :class:`MixingAttention`, of the
                frames that wait and of these.
            there (Tensor, optional): As :class:`MixingAttention`.

        Returns:
            tuple: Like x; with ``memory`` the frames that came ``ahead``
            frames earlier; and the next memory.
        """
        args = (x, memory, exists, there)
        if self.with_cp and torch.is_grad_enabled():
            return cp.checkpoint(self._cast_forward, *args,
                                 use_reentrant=False)
        return self._cast_forward(*args)

    def _cast_forward(self, *args) -> tuple:
        layers = [self.attn.qkv, self.attn.proj, self.mlp.fc1, self.mlp.fc2]
        return cast_together(layers, self._forward, *args)

    def _forward(
        self, x: Tensor, memory: Optional[FrameMemory],
        exists: Optional[Tensor], there: Optional[Tensor]
    ) -> Tuple[Tensor, Optional[FrameMemory]]:
        num = x.shape[1]
        keep, last = stochastic_depth([self], x)
        if memory is not None:
            x = torch.cat((memory.tokens.to(x.dtype), x), 1)
        branch, mixed = self.attn(
            normalize(self.norm1, x),
            None if memory is None else memory.mixed, exists, there)
        if memory is not None:
            memory = FrameMemory(x[:, num:].to(memory.tokens.dtype), mixed)
        x, normed = add_normalize(self.norm2, x[:, :num], branch, keep)
        return add_branch(x, self.mlp(normed), last), memory


class TemporalTransformer(BaseModule):
    """One vector of the class tokens of frames (section 3.3 of the paper).

    One transformer block without positions over a class token of its own and
    those of the frames; its class token passes a layer with GELU.

    Args:
        dims (int): Channels C.
        num_heads (int): Heads.
    """

    def __init__(self, dims: int, num_heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dims))
        # PyTorch's default in the norms, as in the released weights.
        self.encoder = MixingBlock(dims, num_heads, qkv_bias=False, eps=1e-5)
        self.norm = nn.LayerNorm(dims, eps=1e-5)
        self.proj = nn.Linear(dims, dims)

    def forward(self, x: Tensor, exists: Optional[Tensor] = None) -> Tensor:
        """Aggregate.

        Args:
            x (Tensor): (B, T, C), class tokens of frames.
            exists (Tensor, optional): Bool, (B, T), those to look at.
                Defaults to None: all.

        Returns:
            Tensor: (B, C).
        """
        cls = self.cls_token.expand(x.shape[0], -1, -1).to(x.dtype)
        tokens = torch.cat((cls, x), 1)
        if exists is not None:
            exists = F.pad(exists, (1, 0), value=True)
        tokens, _ = self.encoder(tokens[:, None], there=exists)
        return F.gelu(self.proj(normalize(self.norm, tokens[:, 0, 0])))
