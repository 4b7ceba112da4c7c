# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .clips import (
    DropLostBoxes,
    LabelSampledClips,
    SampleKeyframeClip,
    SampleObservedFrames,
    TrimToSegment,
)
from .features import LoadFeatureClip
from .loading import LoadVideoClip, VideoInit

__all__ = ['DropLostBoxes', 'LabelSampledClips', 'LoadFeatureClip',
           'LoadVideoClip', 'SampleKeyframeClip', 'SampleObservedFrames',
           'TrimToSegment', 'VideoInit']
