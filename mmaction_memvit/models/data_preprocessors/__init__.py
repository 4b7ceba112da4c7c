# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .any_size_data_preprocessor import AnySizeDataPreprocessor

__all__ = ['AnySizeDataPreprocessor']
