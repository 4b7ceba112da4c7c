# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .ava_map import (
    AVA_CONVENTIONS,
    AVAReport,
    ClassAP,
    evaluate_ava,
    find_problems,
    frame_ap,
)
from .epic_anticipation import class_mean_recall, evaluate_epic_anticipation
from .epic_recognition import (
    action_ranks,
    best_actions,
    class_ranks,
    evaluate_epic_recognition,
)
from .multi_label import MultiLabelReport, evaluate_multi_label

__all__ = [
    'AVA_CONVENTIONS', 'AVAReport', 'ClassAP', 'MultiLabelReport',
    'action_ranks', 'best_actions', 'class_mean_recall', 'class_ranks',
    'evaluate_ava', 'evaluate_epic_anticipation', 'evaluate_epic_recognition',
    'evaluate_multi_label', 'find_problems', 'frame_ap'
]
