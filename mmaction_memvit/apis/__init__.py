# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .stream_inferencer import ClipPrediction, StreamInferencer

__all__ = ['ClipPrediction', 'StreamInferencer']
