# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import List, Optional, Sequence, Tuple

from mmaction.registry import MODELS
from mmengine.model import ModuleList
from torch import Tensor

from mmaction_memvit.messages import check_number, check_whole

from ..layers.token_attention import Sight, TokenBlock
from ..layers.token_memory import Entries, TokenMemory, band
from .vector_neck import VectorNeck


@MODELS.register_module()
class StreamTransformer(VectorNeck):
    """Causal transformer over the vectors of a stream: memory for any model.

    Of the features of any backbone of MMAction2 it takes one vector a clip,
    or one a temporal place, which sees itself and the ``mem_len`` vectors
    before it, in this clip and in earlier ones. Memory is their keys and
    values in every layer, so L layers reach L * ``mem_len`` vectors back. How
    far apart two vectors are is told by the seconds between them (rotary, see
    :func:`turn`), whatever the time of day: streams need not end.

    Args:
        in_channels (int): Channels of the features.
        embed_dims (int): Channels C' of the transformer, and of what comes
            out. Defaults to 512.
        num_layers (int): Defaults to 2.
        num_heads (int): Must divide ``embed_dims``, into even parts. Defaults
            to 8.
        mlp_ratio (float): Hidden width of MLPs. Defaults to 4.
        dropout (float): Defaults to 0.1.
        mem_len (int): Vectors seen before one's own; 0 for no memory: a clip
            then sees nothing but itself, all before each of its vectors.
            Defaults to 64.
        max_seconds (float, optional): Vectors longer ago than that are not
            seen. Defaults to None: any time.
        per_frame (bool): Whether a clip gives a vector for each of its
            temporal places rather than one. Defaults to False.
        seconds (float): From one vector of a clip to the next; of all vectors
            where the data do not tell ``start_seconds``. It is the unit of
            time, too. Defaults to 1.
        init_cfg (dict, optional): Defaults to Xavier's initialisation.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, in_channels: int, embed_dims: int = 512,
                 num_layers: int = 2, num_heads: int = 8,
                 mlp_ratio: float = 4., dropout: float = 0.1,
                 mem_len: int = 64, max_seconds: Optional[float] = None,
                 per_frame: bool = False, seconds: float = 1.,
                 init_cfg: Optional[dict] = dict(  # noqa: B006
                     type='Xavier', layer='Linear')) -> None:
        check_whole('num_layers', num_layers)
        check_whole('mem_len', mem_len, 0)
        if max_seconds is not None:
            check_number('max_seconds', max_seconds)
        super().__init__(in_channels, embed_dims, [mem_len] * num_layers,
                         per_frame, seconds, init_cfg)
        self.mem_len = mem_len
        self.max_seconds = max_seconds
        self.num_heads = num_heads
        self.blocks = ModuleList(
            TokenBlock(embed_dims, num_heads, mlp_ratio, dropout)
            for _ in range(num_layers))

    @property
    def temporal_support(self) -> int:
        """int: vectors of the past, ``seconds`` apart, that can matter."""
        seen = self.mem_len
        if self.max_seconds is not None:
            seen = min(seen, int(self.max_seconds / self.seconds + 1e-3))
        return seen * len(self.blocks)

    def attend(self, x: Tensor,
               memory: TokenMemory) -> Tuple[Tensor, TokenMemory]:
        """See :meth:`VectorNeck.attend`."""
        num = x.shape[1]
        seconds, valid = memory.extended(num, self.seconds)
        total = seconds.shape[1]
        seen = valid[:, None] & band(num, total, 0, self.mem_len or total,
                                     x.device)
        x, entries = self.look(x, memory.entries, seconds, seen)
        return x, memory.push(entries, seconds, valid)

    def look(self, x: Tensor, past: Sequence[Optional[Entries]],
             seconds: Tensor, seen: Tensor) -> Tuple[Tensor, List[Entries]]:
        """Some vectors (B, T, C') and entries of earlier ones, in each layer.

        Args:
            x (Tensor): The vectors.
            past (Sequence[tuple[Tensor]]): For each layer keys and values,
                (B, m, C') each; None for none.
            seconds (Tensor): (B, m + T), when vectors are, x's last.
            seen (Tensor): Bool, (B, T, m + T): which of them a vector may
                see, itself among them.

        Returns:
            tuple: The vectors, not yet normalised, and entries of both for
            each layer, (B, m + T, C').
        """
        num, total = seen.shape[1:]
        if self.max_seconds is not None:
            ages = seconds[:, total - num:, None] - seconds[:, None]
            # Sums of times have rounding errors.
            seen = seen & (ages < self.max_seconds + 1e-3 * self.seconds)
        cos, sin = self.turn(seconds)
        sight = Sight(seen, (cos[:, :, total - num:], sin[:, :, total - num:]),
                      (cos, sin))
        entries = []
        for block, before in zip(self.blocks, past):
            x, found = block.among(x, before, sight)
            x = block.think(x)
            entries.append(found)
        return x, entries
