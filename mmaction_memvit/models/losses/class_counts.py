# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Dict, List, Sequence, Union

import numpy as np
from mmengine.fileio import load
from torch import Tensor

from mmaction_memvit.annotations.table import data_error, is_whole, read_table

CountSource = Union[Sequence[int], str, Dict]


def load_class_counts(source: CountSource) -> List[int]:
    """How often each class occurs in the training data.

    Args:
        source (Sequence[int] | str | dict): The counts; a file with a list of
            them (JSON, YAML, PKL); or ``dict(ann_file=..., column=...,
            num_classes=...)`` to count the labels in a CSV file: ``column``
            is its name in the first line (``'verb_class'`` and
            ``'noun_class'`` in the lists of EPIC-KITCHENS-100), or its number
            from 0 where there are no names. Negative and empty labels do not
            count.

    Returns:
        list[int]: Count of class 0, 1, ...

    Raises:
        ValueError: If there is no such column, a label is out of range, or
            counts are not whole numbers of which at least one is above 0.
    """
    if isinstance(source, dict):
        counts = _count_column(**source)
    else:
        counts = load(source) if isinstance(source, str) else source
    array = np.asarray(counts)
    if array.ndim != 1 or array.dtype.kind not in 'iu' or not (
            array >= 0).all() or not array.any():
        raise ValueError(
            f'class counts must be a list of whole numbers from 0, not all '
            f'0, but are {str(counts)[:80]}')
    return array.tolist()


def _count_column(ann_file: str, column: Union[str, int],
                  num_classes: int) -> np.ndarray:
    table = read_table(ann_file)
    if isinstance(column, str):
        table = table.with_header([column], 'name a column of the file')
    labels = table.numbers(column, empty=-1)
    bad = np.flatnonzero(~(is_whole(labels) & (labels < num_classes)))
    if len(bad):
        raise data_error(
            table.where(bad[0]), f'{column} {table[column][bad[0]]!r} is no '
            f'class below num_classes={num_classes}',
            'correct the row, column or num_classes')
    labels = labels[labels >= 0].astype(np.int64)
    return np.bincount(labels, minlength=num_classes)


def as_targets(cls_score: Tensor, label: Tensor, num_counts: int) -> Tensor:
    """Targets of logits (N, C) as shares of classes (N, C).

    ``label`` are classes (N, ) or shares (N, C); another C than the
    ``num_counts`` that were counted is a ValueError.
    """
    if cls_score.shape[1] != num_counts:
        raise ValueError(
            f'the head scores {cls_score.shape[1]} classes, but class_counts '
            f'has {num_counts}: both must be of the same task')
    if label.shape != cls_score.shape:
        label = cls_score.new_zeros(cls_score.shape).scatter_(
            1, label[:, None], 1.)
    return label.to(cls_score.dtype)
