# Copyright (c) mmaction_memvit contributors. All rights reserved.
import csv
from collections import Counter
from typing import Dict, List, Sequence, Union

import numpy as np
from mmengine.fileio import get_text, load
from torch import Tensor

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
                  num_classes: int) -> List[int]:
    # Excel's CSV begins with a mark that is no part of the first field.
    text = get_text(ann_file).lstrip('\ufeff')
    rows = list(csv.reader(text.splitlines()))
    rows = [row for row in rows if row]
    if isinstance(column, str):
        names = rows.pop(0) if rows else []
        if column not in names:
            raise ValueError(f'{ann_file} has no column {column!r}, but '
                             f'{names}')
        column = names.index(column)
    try:
        labels = Counter(int(row[column]) for row in rows
                         if row[column].strip())
    except (ValueError, IndexError) as e:
        raise ValueError(f'{ann_file}, column {column}: {e}') from e
    if labels and max(labels) >= num_classes:
        raise ValueError(f'{ann_file}, column {column}: class {max(labels)} '
                         f'is out of range, num_classes is {num_classes}')
    return [labels[i] for i in range(num_classes)]


def as_targets(cls_score: Tensor, label: Tensor, num_counts: int) -> Tensor:
    """Targets as shares of classes.

    Args:
        cls_score (Tensor): Logits, (N, num_classes).
        label (Tensor): Classes (N, ), or shares (N, num_classes).
        num_counts (int): Number of classes that were counted.

    Returns:
        Tensor: (N, num_classes), in the dtype of the logits.

    Raises:
        ValueError: If another number of classes is scored.
    """
    if cls_score.shape[1] != num_counts:
        raise ValueError(
            f'the head scores {cls_score.shape[1]} classes, but class_counts '
            f'has {num_counts}: both must be of the same task')
    if label.shape != cls_score.shape:
        label = cls_score.new_zeros(cls_score.shape).scatter_(
            1, label[:, None], 1.)
    return label.to(cls_score.dtype)
