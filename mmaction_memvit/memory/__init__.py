# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a stream is and what is kept of it; knows no model and no data set."""
from .bank import ClipIdentity, MemoryBank
from .host import MemoryHost, clip_identities, remembers, run_part
from .state import as_memory
from .window_data_sample import WindowDataSample

__all__ = ['ClipIdentity', 'MemoryBank', 'MemoryHost', 'WindowDataSample',
           'as_memory', 'clip_identities', 'remembers', 'run_part']
