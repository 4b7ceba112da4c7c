# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Files to pictures: knows no model and no data set."""
from .decode import DecordReader, PyAVReader, reader_of
from .frames import FrameTable, VideoReadError
from .scan import probe_video, scan_video

__all__ = ['DecordReader', 'FrameTable', 'PyAVReader', 'VideoReadError',
           'probe_video', 'reader_of', 'scan_video']
