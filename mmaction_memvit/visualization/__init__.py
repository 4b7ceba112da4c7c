# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .delay_accuracy import (
    DelayAccuracy,
    accuracy_by_delay,
    format_delay_table,
    overall_accuracy,
    plot_accuracy_by_delay,
    question_records,
)
from .temporal_support import plot_temporal_support, support_rows
from .timeline import format_timeline

__all__ = [
    'DelayAccuracy', 'accuracy_by_delay', 'format_delay_table',
    'format_timeline', 'overall_accuracy', 'plot_accuracy_by_delay',
    'plot_temporal_support', 'question_records', 'support_rows'
]
