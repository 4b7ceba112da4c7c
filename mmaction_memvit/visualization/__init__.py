# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Pictures and tables of detections, plans of a sampler, used support."""
from .temporal_support import plot_temporal_support, support_rows

__all__ = ['plot_temporal_support', 'support_rows']
