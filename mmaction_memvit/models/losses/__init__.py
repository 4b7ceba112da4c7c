# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .class_balanced_loss import ClassBalancedLoss
from .equalization_loss import EqualizationLoss

__all__ = ['ClassBalancedLoss', 'EqualizationLoss']
