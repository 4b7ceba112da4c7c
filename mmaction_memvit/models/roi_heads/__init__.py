# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .memvit_bbox_head import MeMViTBBoxHead
from .memvit_roi_head import MeMViTRoIHead
from .stream_transformer_roi_head import StreamTransformerRoIHead

__all__ = ['MeMViTBBoxHead', 'MeMViTRoIHead', 'StreamTransformerRoIHead']
