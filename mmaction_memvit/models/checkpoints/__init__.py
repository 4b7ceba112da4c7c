# Copyright (c) mmaction_memvit contributors. All rights reserved.
from . import init_info  # noqa: F401 (in force once imported)
from .loading import any_checkpoint_fits

__all__ = ['any_checkpoint_fits']
