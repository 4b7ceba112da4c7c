# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .avt_head import AVTHead
from .frame_level_head import FrameLevelHead
from .multi_task_head import MultiTaskHead

__all__ = ['AVTHead', 'FrameLevelHead', 'MultiTaskHead']
