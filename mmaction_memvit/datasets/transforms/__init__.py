# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .boxes import DropLostBoxes
from .clip_labels import LabelSampledClips
from .consistent import PerVideoAugment
from .loading import LoadVideoClip
from .sampling import SampleKeyframeClip
from .segments import TrimToSegment
from .video_init import VideoInit

__all__ = [
    'DropLostBoxes', 'LabelSampledClips', 'LoadVideoClip', 'PerVideoAugment',
    'SampleKeyframeClip', 'TrimToSegment', 'VideoInit'
]
