# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Files to pictures: knows no model and no data set."""
from .backends import BACKENDS, choose_backend
from .cache import ReaderCache
from .decode import PyAVReader
from .decord_reader import DecordReader
from .frames import FrameTable, VideoReadError
from .scan import probe_video, scan_video

__all__ = [
    'BACKENDS', 'DecordReader', 'FrameTable', 'PyAVReader', 'ReaderCache',
    'VideoReadError', 'choose_backend', 'probe_video', 'scan_video'
]
