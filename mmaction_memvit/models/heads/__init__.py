# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .frame_level_head import FrameLevelHead
from .multi_task_head import MultiTaskHead

__all__ = ['FrameLevelHead', 'MultiTaskHead']
