# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import List

from mmengine.structures import BaseDataElement
from torch import Tensor


class WindowDataSample(BaseDataElement):
    """Data samples of several clips of one video that belong together.

    A list of them would be transposed by MMEngine's ``pseudo_collate``, which
    leaves this as it is.

    Attributes:
        clips (list[ActionDataSample]): Of each clip, in order of time.
        scored (Tensor): int64 (K,), the clips whose boxes are scored.
        windows (Tensor): int64 (K, N), the clips that each of these shares a
            memory with, itself included.
    """

    @classmethod
    def of(cls, clips: List[BaseDataElement], scored: Tensor,
           windows: Tensor, **metainfo) -> 'WindowDataSample':
        """Make one; arguments as the attributes."""
        sample = cls(metainfo=metainfo)
        sample.set_field(list(clips), 'clips')
        sample.set_field(scored, 'scored')
        sample.set_field(windows, 'windows')
        return sample

    def to(self, *args, **kwargs) -> 'WindowDataSample':
        """Copy to a device, the clips as well."""
        new = super().to(*args, **kwargs)
        new.set_field([x.to(*args, **kwargs) for x in self.clips], 'clips')
        return new
