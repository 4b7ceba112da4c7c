# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .online_inferencer import OnlineInferencer
from .session import ClipPrediction, Session
from .stream_inferencer import StreamInferencer
from .temporal_support import measure_temporal_support, theoretical_support

__all__ = [
    'ClipPrediction', 'OnlineInferencer', 'Session', 'StreamInferencer',
    'measure_temporal_support', 'theoretical_support'
]
