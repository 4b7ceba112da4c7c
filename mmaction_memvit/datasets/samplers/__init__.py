# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .distinct_video_batch_sampler import DistinctVideoBatchSampler
from .stream_batch_sampler import StreamBatchSampler

__all__ = ['DistinctVideoBatchSampler', 'StreamBatchSampler']
