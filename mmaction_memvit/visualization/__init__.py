# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .delay_accuracy import (
    DelayAccuracy,
    accuracy_by_delay,
    format_delay_table,
    overall_accuracy,
    plot_accuracy_by_delay,
    question_records,
)
from .timeline import format_timeline

__all__ = [
    'DelayAccuracy', 'accuracy_by_delay', 'format_delay_table',
    'format_timeline', 'overall_accuracy', 'plot_accuracy_by_delay',
    'question_records'
]
