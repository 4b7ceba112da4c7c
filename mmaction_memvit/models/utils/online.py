# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What recognizers and detectors of streams have in common."""
from typing import List, Optional

import torch
from mmaction.utils import SampleList

from mmaction_memvit.structures import ClipIdentity, MemoryBank

MODES = ('train', 'val', 'test', 'predict')


class MemoryOwner:
    """Mixin of models that own the memory of streams.

    Each mode has a bank of its own, so validation cannot touch the training
    memory.
    """

    def init_banks(self, max_gap: int, max_streams: Optional[int]) -> None:
        """Make a bank for each mode; arguments as :class:`MemoryBank`."""
        self.banks = {mode: MemoryBank(max_gap, max_streams) for mode in MODES}
        # Set by MemoryBankHook around validation and testing.
        self.eval_mode = 'predict'

    def bank(self, test_mode: bool) -> MemoryBank:
        """The bank of what is going on now."""
        return self.banks[self.eval_mode if test_mode else 'train']


def has_memory(backbone: torch.nn.Module) -> bool:
    """Whether a backbone remembers."""
    return bool(getattr(backbone, 'mem_layers', ()))


def clip_identities(data_samples: SampleList,
                    num_views: int = 1) -> List[ClipIdentity]:
    """Read which clip of which stream each sample is.

    Args:
        data_samples (list[ActionDataSample]): With ``video_id`` and
            ``timestamp`` in their metainfo.
        num_views (int): Crops of each sample. Defaults to 1.

    Returns:
        list[ClipIdentity]: One for each sample and view, views fastest.

    Raises:
        KeyError: If a sample does not say where it is from.
    """
    identities = []
    for sample in data_samples:
        missing = [
            key for key in ('video_id', 'timestamp')
            if sample.get(key, None) is None
        ]
        if missing:
            raise KeyError(
                f'a data sample has no {" and no ".join(missing)} in its '
                'metainfo, so the memory does not know its stream: use '
                'OnlineVideoDataset or OnlineAVADataset, and keep '
                "'video_id' and 'timestamp' in PackActionInputs' meta_keys")
        identities += [
            ClipIdentity(sample.video_id, sample.timestamp, view)
            for view in range(num_views)
        ]
    return identities
