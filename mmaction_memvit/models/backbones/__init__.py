# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .memvit import MeMViT
from .non_local_resnet3d import NonLocalResNet3d, NonLocalResNet3dSlowFast
from .xvit import XViT

__all__ = ['MeMViT', 'NonLocalResNet3d', 'NonLocalResNet3dSlowFast', 'XViT']
