# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .collaborative_fast_rcnn import CollaborativeFastRCNN
from .online_fast_rcnn import OnlineFastRCNN

__all__ = ['CollaborativeFastRCNN', 'OnlineFastRCNN']
