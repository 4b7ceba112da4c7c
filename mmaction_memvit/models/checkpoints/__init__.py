# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .init_info import shorten_init_info, shorten_optimizer_options
from .loading import any_checkpoint_fits, watch_loading

__all__ = [
    'any_checkpoint_fits', 'shorten_init_info', 'shorten_optimizer_options',
    'watch_loading'
]
