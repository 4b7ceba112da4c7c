# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
from mmaction.utils import OptSampleList
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmaction_memvit.messages import check_number, check_whole
from mmaction_memvit.ops.precision import activation_dtype

from ..layers.feature_vectors import Features, feature_vectors
from ..layers.token_attention import Turn, turn
from ..layers.token_memory import TokenMemory

#: Vectors that pass a neck at a time, at least.
_PIECE = 64


class VectorNeck(BaseModule):
    """What necks have in common that remember vectors of any backbone.

    A vector sees what came before it and nothing else, so it does not matter
    in which clips vectors come: one by one, as streams do, or those of a
    whole video as one clip.

    Args:
        in_channels (int): Channels of the features.
        embed_dims (int): Channels C' of the neck.
        lengths (Sequence[int]): Of each cache of keys and values.
        per_frame (bool): Whether a clip gives a vector for each of its
            temporal places rather than one.
        seconds (float): From one vector of a clip to the next; of all vectors
            where nobody knows the time. It is the unit of time, too.
        init_cfg (dict, optional): As of ``BaseModule``.
    """

    def __init__(self, in_channels: int, embed_dims: int,
                 lengths: Sequence[int], per_frame: bool, seconds: float,
                 init_cfg: Optional[Union[dict, List[dict]]]) -> None:
        super().__init__(init_cfg)
        for name, value in (('in_channels', in_channels),
                            ('embed_dims', embed_dims)):
            check_whole(name, value)
        check_number('seconds', seconds)
        self.in_channels = in_channels
        self.lengths = tuple(lengths)
        self.per_frame = per_frame
        self.seconds = seconds
        self.embed = nn.Linear(in_channels, embed_dims)
        self.norm = nn.LayerNorm(embed_dims)

    def attend(self, x: Tensor,
               memory: TokenMemory) -> Tuple[Tensor, TokenMemory]:
        """Some vectors (B, T, C') and what came before; and what is next.

        ``memory.seconds`` are counted from where the vectors start.
        """
        raise NotImplementedError

    def empty_sums(self, batch_size: int,
                   device: torch.device) -> Tuple[Tensor, ...]:
        """What a neck without an endless past adds up: nothing."""
        return ()

    def empty(self, batch_size: int, dtype: Optional[torch.dtype] = None,
              device: Optional[torch.device] = None) -> TokenMemory:
        """The memory at the start of streams, also of no length."""
        param = self.norm.weight
        device = device or param.device
        like = param.new_empty(
            param.shape, dtype=dtype or activation_dtype(param), device=device)
        return TokenMemory.empty(batch_size, self.lengths, like,
                                 self.empty_sums(batch_size, device))

    def init_memory(
            self, batch_size: int,
            input_size: Optional[Tuple[int, int]] = None,
            dtype: Optional[torch.dtype] = None,
            device: Optional[torch.device] = None) -> Optional[TokenMemory]:
        """The memory at the start of B streams, of its final shapes.

        None if the neck remembers nothing. ``input_size`` does not matter;
        device and dtype are those of the parameters (or of autocast).
        """
        if not any(self.lengths):
            return None
        return self.empty(batch_size, dtype, device)

    def forward(
        self, x: Features, memory: Optional[TokenMemory] = None,
        elapsed: Optional[Tensor] = None, data_samples: OptSampleList = None
    ) -> Tuple[Tensor, Union[TokenMemory, Dict]]:
        """One clip of each stream.

        Args:
            x (Tensor | Sequence): What the backbone gives, see
                :func:`feature_vectors`.
            memory (TokenMemory, optional): Of the clips before. Defaults to
                None: streams start, and nothing is remembered.
            elapsed (Tensor, optional): (B, ) seconds since the clip before
                started. Defaults to None: its last vector was ``seconds``
                ago.
            data_samples (list, optional): Not used; stock necks take them.

        Returns:
            tuple: Features (B, C', T', 1, 1), and the next memory, or no
            auxiliary losses.
        """
        x = self.embed(feature_vectors(x, self.per_frame))
        state = self.empty(x.shape[0]) if memory is None else memory
        state = state.later(elapsed, self.seconds)
        outs, passed = [], 0.
        # Times within a long clip stay small, and costs linear.
        piece = max(_PIECE, *self.lengths) if any(self.lengths) else x.shape[1]
        for part in x.split(piece, 1):
            if outs:
                step = outs[-1].shape[1] * self.seconds
                state = state.shifted(-step)
                passed += step
            out, state = self.attend(part, state)
            outs.append(out)
        out = self.norm(torch.cat(outs, 1)).transpose(1, 2)[..., None, None]
        return out, {} if memory is None else state.shifted(passed)

    def turn(self, seconds: Tensor) -> Turn:
        """Rotations of vectors at their time, (B, N)."""
        return turn(seconds / self.seconds,
                    self.norm.weight.shape[0] // self.num_heads)
