# Copyright (c) mmaction_memvit contributors. All rights reserved.
from mmaction_memvit.ops.precision import activation_dtype

__all__ = ['activation_dtype']
