# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Fast operators, each defined by a few lines of plain PyTorch."""
from .layer_norm import add_layer_norm, layer_norm
from .pooling import Pool, out_size, pool_norm

__all__ = ['Pool', 'add_layer_norm', 'layer_norm', 'out_size', 'pool_norm']
