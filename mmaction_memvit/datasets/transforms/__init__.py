# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .clips import (
    DropLostBoxes,
    LabelSampledClips,
    SampleKeyframeClip,
    SampleObservedFrames,
    TrimToSegment,
)
from .consistent import PerVideoAugment
from .loading import LoadVideoClip, VideoInit

__all__ = [
    'DropLostBoxes', 'LabelSampledClips', 'LoadVideoClip', 'PerVideoAugment',
    'SampleKeyframeClip', 'SampleObservedFrames', 'TrimToSegment', 'VideoInit'
]
