# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .collaborative_memory import CollaborativeMemory

__all__ = ['CollaborativeMemory']
