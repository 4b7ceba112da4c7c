# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .consistent import PerVideoAugment
from .loading import LoadVideoClip

__all__ = ['LoadVideoClip', 'PerVideoAugment']
