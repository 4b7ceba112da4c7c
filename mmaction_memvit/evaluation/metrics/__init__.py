# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .ava_detection_metric import AVADetectionMetric
from .epic_anticipation_metric import EpicAnticipationMetric
from .epic_metric import EpicRecognitionMetric
from .multi_label_metric import MultiLabelMAPMetric
from .online_detection_metric import OnlineDetectionMetric
from .stream_confusion import count_streams_by_video
from .video_acc_metric import VideoAccMetric

__all__ = ['AVADetectionMetric', 'EpicAnticipationMetric',
           'EpicRecognitionMetric', 'MultiLabelMAPMetric',
           'OnlineDetectionMetric', 'VideoAccMetric', 'count_streams_by_video']
