# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .ava import OnlineAVADataset
from .charades import CharadesDataset
from .consistent import PerVideoAugment
from .epic import OnlineEpicDataset
from .epic_segments import EpicDataset
from .features import FeatureStreamDataset
from .frame_folders import FrameFolders
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
           'FeatureStreamDataset', 'FrameFolders', 'NamedVideoDataset',
           'OnlineAVADataset', 'OnlineDetectionDataset',
           'OnlineDetectionVideoDataset', 'OnlineEpicDataset',
           'OnlineVideoDataset', 'PerVideoAugment', 'StreamDataset',
           'VideoClipsDataset']
