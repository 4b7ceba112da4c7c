# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .stream_batch_sampler import StreamBatchSampler

__all__ = ['StreamBatchSampler']
