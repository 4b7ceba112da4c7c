# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .collaborative_memory import CollaborativeMemory
from .long_short_memory import LongShortMemory
from .stream_transformer import StreamTransformer

__all__ = ['CollaborativeMemory', 'LongShortMemory', 'StreamTransformer']
