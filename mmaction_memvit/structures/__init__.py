# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .window_data_sample import WindowDataSample

__all__ = ['WindowDataSample']
