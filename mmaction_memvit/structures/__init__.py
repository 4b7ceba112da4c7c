# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .box_memory import BoxMemory, DetectionMemory
from .memory import LayerMemory, StreamMemory
from .memory_bank import ClipIdentity, MemoryBank
from .window_data_sample import WindowDataSample

__all__ = [
    'LayerMemory', 'StreamMemory', 'BoxMemory', 'DetectionMemory',
    'ClipIdentity', 'MemoryBank', 'WindowDataSample'
]
