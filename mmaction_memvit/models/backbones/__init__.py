# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .framewise import FeatureBackbone, FramewiseBackbone
from .memvit import MeMViT
from .non_local_resnet3d import NonLocalResNet3d, NonLocalResNet3dSlowFast
from .xvit import XViT

__all__ = ['FeatureBackbone', 'FramewiseBackbone', 'MeMViT',
           'NonLocalResNet3d', 'NonLocalResNet3dSlowFast', 'XViT']
