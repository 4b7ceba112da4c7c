# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .box_memory import BoxMemory, DetectionMemory
from .memory import LayerMemory, StreamMemory
from .memory_bank import ClipIdentity, MemoryBank

__all__ = [
    'LayerMemory', 'StreamMemory', 'BoxMemory', 'DetectionMemory',
    'ClipIdentity', 'MemoryBank'
]
