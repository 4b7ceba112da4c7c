# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .loading import any_checkpoint_fits, watch_loading

__all__ = ['any_checkpoint_fits', 'watch_loading']
