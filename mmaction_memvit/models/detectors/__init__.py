# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .online_fast_rcnn import OnlineFastRCNN

__all__ = ['OnlineFastRCNN']
