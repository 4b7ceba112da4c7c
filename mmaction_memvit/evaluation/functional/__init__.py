# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The measures: functions of arrays."""
from .ava_map import AVA_CONVENTIONS, evaluate_ava, find_problems, frame_ap
from .epic import evaluate_epic_anticipation, evaluate_epic_recognition
from .multi_label import evaluate_multi_label
from .online_detection import evaluate_online_detection
from .temporal_support import TemporalSupport, change_by_age

__all__ = ['AVA_CONVENTIONS', 'TemporalSupport', 'change_by_age',
           'evaluate_ava', 'evaluate_epic_anticipation',
           'evaluate_epic_recognition', 'evaluate_multi_label',
           'evaluate_online_detection', 'find_problems', 'frame_ap']
