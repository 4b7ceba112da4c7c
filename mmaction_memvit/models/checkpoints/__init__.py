# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .init_info import shorten_logs
from .loading import any_checkpoint_fits, watch_loading

__all__ = ['any_checkpoint_fits', 'shorten_logs', 'watch_loading']
