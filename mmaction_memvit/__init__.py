# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""MeMViT and other video models that remember, for MMAction2.

Importing this package heals the host libraries (see ``compat/``) and
registers everything, which is all that ``custom_imports`` has to do.
"""
from .compat import HostError, heal_host
from .version import __version__

# Before anything of MMAction2 is imported: without it, that import fails.
heal_host()

from . import datasets, engine, evaluation, models, registry  # noqa: E402
from .evaluation import metrics  # noqa: E402
from .models import checkpoints  # noqa: E402,F401

metrics.count_streams_by_video()

__all__ = ['HostError', '__version__', 'datasets', 'engine', 'evaluation',
           'models', 'registry']
