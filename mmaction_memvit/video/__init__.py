# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Files to pictures: knows no model and no data set."""
from .decode import BACKENDS, DecordReader, PyAVReader, choose_backend
from .frames import FrameTable, VideoReadError
from .scan import probe_video, scan_video

__all__ = ['BACKENDS', 'DecordReader', 'FrameTable', 'PyAVReader',
           'VideoReadError', 'choose_backend', 'probe_video', 'scan_video']
