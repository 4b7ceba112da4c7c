# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .memory_attention import AttentionRecorder, MemoryAttention
from .online_inferencer import OnlineInferencer
from .session import ClipPrediction, Session
from .stream_inferencer import StreamInferencer
from .temporal_support import (
    measure_temporal_support,
    theoretical_support,
    vectors_a_clip,
)

__all__ = ['AttentionRecorder', 'ClipPrediction', 'MemoryAttention',
           'OnlineInferencer', 'Session', 'StreamInferencer',
           'measure_temporal_support', 'theoretical_support', 'vectors_a_clip']
