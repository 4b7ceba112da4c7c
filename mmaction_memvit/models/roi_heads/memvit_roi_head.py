# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Dict, Optional, Tuple

import torch
from mmaction.registry import MODELS
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.model import ModuleList
from torch import Tensor

from mmaction_memvit.messages import check_choice, check_whole

from ..layers.box_block import BoxBlock
from ..layers.box_memory import BoxMemory
from .slot_roi_head import SlotRoIHead


@MMDET_MODELS.register_module()
@MODELS.register_module()
class MeMViTRoIHead(SlotRoIHead):
    """RoI head whose boxes see each other and those of earlier clips.

    From `MeMViT <https://arxiv.org/abs/2201.08383>`_, as released for AVA:
    features of a box (RoIAlign, max pooled) pass a transformer block over the
    boxes of the clip and the remembered ones, then a classifier.

    Args:
        box_block (dict, optional): Arguments of :class:`BoxBlock`; None for
            no block, as in a plain detector. Defaults to ``dict()``.
        num_box_blocks (int): Defaults to 1.
        mem_len (int): Attended clips M; 0 for no memory. Defaults to 2.
        mem_stride (int): Gap between attended clips, as in :class:`MeMViT`.
            Defaults to 1.
        mem_mask (str): 'exclude' attends to boxes of this stream only; 'zero'
            also to empty slots, and to earlier videos' as zeros, as the
            reference does. Defaults to 'exclude'.
        **kwargs: For :class:`SlotRoIHead`: ``num_slots``,
            ``bbox_roi_extractor``, ``bbox_head``, ``train_cfg``,
            ``test_cfg``.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, *args,
                 box_block: Optional[Dict] = dict(),  # noqa: B006, C408
                 num_box_blocks: int = 1, mem_len: int = 2,
                 mem_stride: int = 1, mem_mask: str = 'exclude',
                 **kwargs) -> None:
        for name, value, low in (('num_box_blocks', num_box_blocks, 1),
                                 ('mem_len', mem_len, 0),
                                 ('mem_stride', mem_stride, 1)):
            check_whole(name, value, low)
        check_choice('mem_mask', mem_mask, ('exclude', 'zero'))
        super().__init__(*args, **kwargs)
        self.box_blocks = ModuleList(
            [] if box_block is None else
            [BoxBlock(**box_block) for _ in range(num_box_blocks)])
        self.mem_len = mem_len if self.box_blocks else 0
        self.mem_stride = mem_stride
        self.zero_mask = mem_mask == 'zero'

    @property
    def temporal_support(self) -> int:
        """int: clips of the past whose boxes can matter."""
        return self.mem_len * self.mem_stride * len(self.box_blocks)

    def memory_size(self) -> Tuple[int, int, int]:
        """See :meth:`SlotRoIHead.memory_size`."""
        width = len(self.box_blocks[0].norm1.weight) if self.mem_len else 0
        return len(self.box_blocks), self.mem_len * self.mem_stride, width

    def _past(self, memory: BoxMemory, layer: int) -> Tuple[Tensor, Tensor]:
        """Attended boxes of a block and which of them count."""
        pick = slice(self.mem_stride - 1, None, self.mem_stride)
        entries = memory.layers[layer][pick]
        if self.zero_mask:
            seen = [
                column[:, None].expand(-1, entry.shape[1]) for entry, column in
                zip(entries, memory.filled[:, pick].unbind(1))]
        else:
            seen = memory.slots[pick]
        return torch.cat(entries, 1), torch.cat(tuple(seen), 1)

    def relate_slots(
            self, boxes: Tensor, slots: Tensor, memory: Optional[BoxMemory],
            elapsed: Optional[Tensor] = None
    ) -> Tuple[Tensor, Optional[BoxMemory]]:
        """See :meth:`SlotRoIHead.relate_slots`; the head counts clips."""
        seen = torch.ones_like(slots) if self.zero_mask else slots
        entries = []
        for i, block in enumerate(self.box_blocks):
            if memory is None:
                past, past_seen = boxes[:, :0], seen[:, :0]
            else:
                past, past_seen = self._past(memory, i)
            boxes, entry = block(boxes, seen, past, past_seen)
            entries.append(entry)
        if memory is not None:
            if not self.zero_mask:
                # An empty slot's bias must not pass for something seen.
                entries = [x.masked_fill(~slots[..., None], 0.)
                           for x in entries]
            memory = memory.push(entries, slots)
        return boxes, memory
