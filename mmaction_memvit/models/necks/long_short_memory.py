# Copyright (c) mmaction_memvit contributors. All rights reserved.
import math
from typing import List, Optional, Sequence, Tuple

import torch
from mmaction.registry import MODELS
from mmengine.model import ModuleList
from torch import Tensor, nn

from mmaction_memvit.messages import check_choice, check_number, check_whole

from ..layers.running_attention import running_attention
from ..layers.token_attention import Sight, TokenBlock, joined
from ..layers.token_memory import Entries, TokenMemory, band, last
from .vector_neck import VectorNeck


@MODELS.register_module()
class LongShortMemory(VectorNeck):
    """Long memory, compressed by learned queries, and short memory of work.

    From `LSTR <https://arxiv.org/abs/2107.03377>`_ and `TeSTra
    <https://arxiv.org/abs/2209.09236>`_. For each vector of a stream

    1. a few learned queries attend to the long past, and more queries to what
       they found: the encoded long memory;
    2. the vector attends to the last ``work_len`` ones, itself among them,
       and to the encoded long memory.

    What the first queries attend to is

    - 'window' (LSTR): the ``long_len`` vectors before the work memory, with
      the time that they are ago;
    - 'box' (TeSTra): the last ``long_len`` vectors, work memory included,
      without time;
    - 'laplace' (TeSTra): all vectors so far, each ``seconds`` taking
      ``decay`` of their weights; kept as sums, see :func:`running_attention`.

    Each vector passes the model once, with the memories of its own time;
    that is what the published models do for the newest vector of a window,
    while older ones of it are computed anew as time goes on (LSTR) or share
    one long memory (both in training). So a step costs the same at any time,
    and it does not matter in which clips the vectors come. Layers are
    normalised before, not after; the box is no running sum, from which old
    vectors would be subtracted, digits and all, but a cache.

    Args:
        in_channels (int): Channels of the features.
        embed_dims (int): Channels C' of the neck, and of what comes out.
            Defaults to 1024.
        num_heads (int): Must divide ``embed_dims``, into even parts. Defaults
            to 16.
        mlp_ratio (float): Hidden width of MLPs. Defaults to 1.
        dropout (float): Defaults to 0.2.
        work_len (int): Vectors of the work memory, at least 2. Defaults to
            32.
        num_layers (int): Over the work memory. Defaults to 2.
        long (str): 'window', 'box' or 'laplace'. Defaults to 'window'.
        long_len (int): Vectors of a window or box. Defaults to 2048.
        decay (float): See 'laplace'; above 0, at most 1. Defaults to 0.97.
        num_queries (tuple[int]): Of the two stages. Defaults to (16, 32).
        num_stage2_layers (int): Defaults to 2; the first stage has one.
        per_frame (bool): Whether a clip gives a vector for each of its
            temporal places rather than one. Defaults to True.
        seconds (float): From one vector of a clip to the next; of all vectors
            where the data do not tell ``start_seconds``. It is the unit of
            time, too. Defaults to 0.25.
        init_cfg (dict, optional): Defaults to Xavier's initialisation.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, in_channels: int, embed_dims: int = 1024,
                 num_heads: int = 16, mlp_ratio: float = 1.,
                 dropout: float = 0.2, work_len: int = 32, num_layers: int = 2,
                 long: str = 'window', long_len: int = 2048,
                 decay: float = 0.97, num_queries: Sequence[int] = (16, 32),
                 num_stage2_layers: int = 2, per_frame: bool = True,
                 seconds: float = 0.25,
                 init_cfg: Optional[dict] = dict(  # noqa: B006
                     type='Xavier', layer='Linear')) -> None:
        check_choice('long', long, ('window', 'box', 'laplace'))
        for name, value, least in (('work_len', work_len, 2),
                                   ('num_layers', num_layers, 1),
                                   ('long_len', long_len, 1),
                                   ('num_stage2_layers', num_stage2_layers,
                                    1)):
            check_whole(name, value, least)
        if not isinstance(num_queries, Sequence) or len(num_queries) != 2:
            raise ValueError(f'num_queries={num_queries} must be two numbers, '
                             'one of each stage')
        for num in num_queries:
            check_whole('num_queries', num)
        check_number('decay', decay, most=1)
        #: Places before a vector of what its long memory holds.
        self.long_band = {'window': (work_len, work_len + long_len - 1),
                          'box': (0, long_len - 1), 'laplace': None}[long]
        lengths = [work_len - 1] * num_layers
        if self.long_band:
            lengths.append(self.long_band[1])
        super().__init__(in_channels, embed_dims, lengths, per_frame, seconds,
                         init_cfg)
        self.num_heads = num_heads
        self.with_time = long == 'window'
        self.rate = -math.log(decay) / seconds
        self.queries = nn.ParameterList(
            torch.randn(1, num, embed_dims) for num in num_queries)
        parts = embed_dims, num_heads, mlp_ratio, dropout, True
        self.stage1 = TokenBlock(*parts)
        self.stage1_norm = nn.LayerNorm(embed_dims)
        self.stage2 = ModuleList(
            TokenBlock(*parts) for _ in range(num_stage2_layers))
        self.stage2_norm = nn.LayerNorm(embed_dims)
        self.blocks = ModuleList(TokenBlock(*parts) for _ in range(num_layers))

    @property
    def temporal_support(self) -> float:
        """float: vectors of the past that can matter; of 'laplace' all."""
        if not self.long_band:
            return math.inf
        # Earlier layers look back from where later ones do, and each vector
        # at the long memory of its own time.
        *earlier, work, _ = self.lengths
        return sum(earlier) + max(work, self.long_band[1])

    def empty_sums(self, batch_size: int,
                   device: torch.device) -> Tuple[Tensor, ...]:
        """See :func:`running_attention`; nothing for a window or box."""
        if self.long_band:
            return ()
        _, num, dims = self.queries[0].shape
        weights = torch.zeros(batch_size, self.num_heads, num, device=device)
        return (weights.new_zeros(*weights.shape, dims // self.num_heads),
                weights, weights.clone())

    def attend(self, x: Tensor,
               memory: TokenMemory) -> Tuple[Tensor, TokenMemory]:
        """See :meth:`VectorNeck.attend`."""
        seconds, valid = memory.extended(x.shape[1], self.seconds)
        found, cache, sums = self.look_back(x, memory, seconds, valid)
        context = self.encode(found)
        own = self.sight(x.shape[1], seconds, valid,
                         (0, memory.entries[0][0].shape[1]))
        entries = []
        for block, past in zip(self.blocks, memory.entries):
            x, new = block.among(x, past, own)
            # Each vector sees the long memory of its own time.
            each = block.look_at(
                x.flatten(0, 1)[:, None], block.context_attn.entries(context))
            x = block.think(each.view_as(x))
            entries.append(new)
        return x, memory.push(entries + cache, seconds, valid, sums)

    def look_back(
        self, x: Tensor, memory: TokenMemory, seconds: Tensor, valid: Tensor
    ) -> Tuple[Tensor, List[Entries], Tuple[Tensor, ...]]:
        """The first stage: what its queries find, (B, T, Q, C').

        And entries of the long memory, and sums: one of both is empty.
        """
        stage, attn = self.stage1, self.stage1.context_attn
        # A copy: FlopCounterMode fails where inputs are parameters.
        queries, _ = stage.among(self.queries[0].clone())
        new = attn.entries(x)
        if not self.long_band:
            times = last(seconds, x.shape[1] + 1)
            own = times[:, 1:]
            out, sums = running_attention(
                attn.heads(attn.q(stage.context_norm(queries))),
                *map(attn.heads, new), own[:, :, None] - own[:, None],
                own - times[:, :1], memory.sums, self.rate)
            out = queries + stage.drop(attn.proj(out.to(x.dtype)))
            return stage.think(out), [], sums
        cache = joined(memory.entries[-1], new)
        num = queries.shape[1]
        sight = self.sight(x.shape[1], seconds, valid, self.long_band, num,
                           self.with_time)
        out = stage.look_at(queries.repeat(*x.shape[:2], 1), cache, sight)
        return stage.think(out).unflatten(1, (-1, num)), [cache], ()

    def encode(self, found: Tensor) -> Tensor:
        """The second stage: (B, T, Q1, C') to (B * T, Q2, C')."""
        found = self.stage1_norm(found).flatten(0, 1)
        x = self.queries[1].repeat(found.shape[0], 1, 1)
        for block in self.stage2:
            x, _ = block.among(x)
            x = block.look_at(x, block.context_attn.entries(found))
            x = block.think(x)
        return self.stage2_norm(x)

    def sight(self, length: int, seconds: Tensor, valid: Tensor,
              places: Tuple[int, int], num_queries: int = 1,
              with_time: bool = True) -> Sight:
        """What queries at the last vectors see, some places before them."""
        total = length + places[1]
        seconds, valid = last(seconds, total), last(valid, total)
        seen = valid[:, None] & band(length, total, *places, valid.device)
        seen = seen.repeat_interleave(num_queries, 1)
        own = last(seconds, length).repeat_interleave(num_queries, 1)
        turns = (self.turn(own), self.turn(seconds)) if with_time else (
            None, None)
        # Early vectors have no long memory yet.
        return Sight(seen, *turns, sink=places[0] > 0)
