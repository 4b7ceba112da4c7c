# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .stream_inferencer import ClipPrediction, StreamInferencer
from .temporal_support import measure_temporal_support, theoretical_support

__all__ = [
    'ClipPrediction', 'StreamInferencer', 'measure_temporal_support',
    'theoretical_support'
]
