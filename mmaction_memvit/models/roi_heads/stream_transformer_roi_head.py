# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Dict, Optional, Tuple

import torch
from mmaction.registry import MODELS
from mmdet.registry import MODELS as MMDET_MODELS
from torch import Tensor

from ..layers.box_memory import BoxMemory
from ..layers.token_memory import band, last
from ..necks.stream_transformer import StreamTransformer
from .slot_roi_head import SlotRoIHead


@MMDET_MODELS.register_module()
@MODELS.register_module()
class StreamTransformerRoIHead(SlotRoIHead):
    """RoI head whose boxes pass a causal transformer: memory for any detector.

    A :class:`StreamTransformer` over the boxes of a stream: each sees those
    of its own clip and of the ``mem_len`` clips before, which are told apart
    by the seconds between them, not by any order within a clip. Memory is
    their keys and values in every layer, so L layers reach L * ``mem_len``
    clips back. No person is tracked.

    Args:
        transformer (dict): Arguments of :class:`StreamTransformer`:
            ``in_channels`` are those of a box, ``embed_dims`` those of
            ``bbox_head``; ``mem_len`` counts clips, ``seconds`` is from one
            clip to the next where the data do not tell ``start_seconds``.
        **kwargs: For :class:`SlotRoIHead`: ``num_slots``,
            ``bbox_roi_extractor``, ``bbox_head``, ``train_cfg``,
            ``test_cfg``.

    Raises:
        ValueError: If an argument is out of range.
    """
    with_time = True

    def __init__(self, *args, transformer: Dict, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.transformer = StreamTransformer(**transformer)

    @property
    def temporal_support(self) -> int:
        """int: clips of the past, ``seconds`` apart, whose boxes matter."""
        return self.transformer.temporal_support

    def memory_size(self) -> Tuple[int, int, int]:
        """See :meth:`SlotRoIHead.memory_size`."""
        model = self.transformer
        # Keys and values, side by side.
        return len(model.blocks), model.mem_len, 2 * len(model.norm.weight)

    def relate_slots(
            self, boxes: Tensor, slots: Tensor, memory: Optional[BoxMemory],
            elapsed: Optional[Tensor] = None
    ) -> Tuple[Tensor, Optional[BoxMemory]]:
        """See :meth:`SlotRoIHead.relate_slots`."""
        model, num = self.transformer, slots.shape[1]
        past = [None] * len(model.blocks)
        valid, seconds = slots, torch.zeros_like(slots, dtype=torch.float32)
        if memory is not None:
            memory = memory.later(
                model.seconds if elapsed is None else elapsed)
            past = [torch.cat(x, 1).chunk(2, -1) for x in memory.layers]
            valid = torch.cat((*memory.slots, slots), 1)
            # All boxes of a clip are of one time.
            seconds = torch.cat(
                [time[:, None].expand_as(entry) for time, entry in
                 zip(memory.seconds.unbind(1), memory.slots)] + [seconds], 1)
        # An empty slot sees itself: to see nothing gave NaN before torch 2.5.
        seen = valid[:, None] | band(num, valid.shape[1], 0, 0, slots.device)
        x, entries = model.look(model.embed(boxes), past, seconds, seen)
        if memory is not None:
            memory = memory.push(
                [torch.cat([last(x, num) for x in pair], -1)
                 for pair in entries], slots)
        return model.norm(x), memory
