# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .memvit import MeMViT

__all__ = ['MeMViT']
