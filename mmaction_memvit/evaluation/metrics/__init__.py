# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .video_acc_metric import VideoAccMetric

__all__ = ['VideoAccMetric']
