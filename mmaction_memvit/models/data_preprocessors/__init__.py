# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .any_size_data_preprocessor import AnySizeDataPreprocessor
from .multi_task_batch_augment import MultiTaskBatchAugment

__all__ = ['AnySizeDataPreprocessor', 'MultiTaskBatchAugment']
