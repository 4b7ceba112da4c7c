# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .ava import OnlineAVADataset
from .charades import CharadesDataset
from .epic import EpicDataset
from .epic_stream import OnlineEpicDataset
from .features import FeatureStreamDataset
from .online_detection import (
    OnlineDetectionDataset,
    OnlineDetectionVideoDataset,
)
from .samplers import *  # noqa: F403
from .source import NamedVideoDataset
from .stream import StreamDataset
from .transforms import *  # noqa: F403
from .video import OnlineVideoDataset
from .video_clips import VideoClipsDataset
from .windows import CollaborativeAVADataset

__all__ = ['CharadesDataset', 'CollaborativeAVADataset', 'EpicDataset',
           'FeatureStreamDataset', 'NamedVideoDataset', 'OnlineAVADataset',
           'OnlineDetectionDataset', 'OnlineDetectionVideoDataset',
           'OnlineEpicDataset', 'OnlineVideoDataset', 'StreamDataset',
           'VideoClipsDataset']
