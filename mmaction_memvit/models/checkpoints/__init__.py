# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .init_info import shorten_init_info
from .loading import any_checkpoint_fits, watch_loading

__all__ = ['any_checkpoint_fits', 'shorten_init_info', 'watch_loading']
