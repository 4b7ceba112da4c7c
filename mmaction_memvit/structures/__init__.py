# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .memory import LayerMemory, StreamMemory
from .memory_bank import ClipIdentity, MemoryBank

__all__ = ['LayerMemory', 'StreamMemory', 'ClipIdentity', 'MemoryBank']
