# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Names of classes: one a line, or AVA's label maps (.pbtxt)."""
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Optional

import numpy as np
from mmengine.fileio import put_text

from ..messages import data_error, log
from .table import read_lines, read_text

_INDEXED = re.compile(r'c(\d{3})\s+(?=\S)', re.ASCII)
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ITEM = re.compile(
    rf'\b(?:label|item)\s*\{{((?:{_QUOTED}|[^{{}}"])*)\}}', re.S)
_COMMENT = re.compile(rf'({_QUOTED})|#[^\n]*')
_NAME = re.compile(rf'\bname:\s*({_QUOTED})', re.S)
_ID = re.compile(r'\b(?:label_id|id):\s*(\d+)')


def read_class_names(path: str, remedy: str = 'check the path') -> list[str]:
    """Reads names of classes, line k that of class k.

    Numbers that all lines begin with, as in Charades_v1_classes.txt (``c000
    Holding some clothes``), are left out; it is an error if one is not that of
    its line. ``remedy`` says what to do if the file is not in order.
    """
    names = [line.strip() for line in read_lines(path, remedy)]
    while names and not names[-1]:
        names.pop()
    numbers = [_INDEXED.match(name) for name in names]
    if None in numbers:
        return names
    for i, number in enumerate(numbers):
        if int(number[1]) != i:
            raise data_error(
                f'{path}:{i + 1}', f'class c{number[1]} stands where c{i:03} '
                'must', f'order the lines by class, all of them; {remedy}')
    return [name[number.end():] for name, number in zip(names, numbers)]


def write_class_names(path: str, names: Mapping[int, str]) -> None:
    """Writes names by label, from 0, so that line k is that of class k.

    Labels that are left out are called ``unused_1`` and so on. It is an error
    if a name would not be read back. Folders are made.
    """
    lines = [names.get(k, f'unused_{k}') for k in range(max(names) + 1)]
    wrong = [x for x in lines if not x or x != x.strip() or re.search(
        '[\r\n]', x)]
    if wrong:
        raise data_error(path, f'the class {wrong[0]!r} has no name, or line '
                         'breaks or white space around it', 'rename it')
    if all(map(_INDEXED.match, lines)):
        lines = [f'c{k:03} {name}' for k, name in enumerate(lines)]
    put_text('\n'.join(lines) + '\n', path)


def read_label_map(path: str) -> dict[int, str]:
    """Reads names by id, in the order of ids, of either of AVA's forms.

    Entries are ``label { name: "..." label_id: 1 }`` or ``item { name: "..."
    id: 1 }``. One that lacks its name or id, or whose id is below 1 or comes
    twice, is a ValueError, as is a file without any.
    """
    remedy = ("take an action list in AVA's .pbtxt form, with entries like "
              'item { name: "stand" id: 12 }')
    names: dict[int, str] = {}
    for item in _ITEM.findall(_COMMENT.sub(r'\1', read_text(path))):
        name, number = _NAME.search(item), _ID.search(item)
        if name is None or number is None:
            raise data_error(path, 'an entry lacks its name or id: '
                             f'{" ".join(item.split())!r}', remedy)
        class_id = int(number[1])
        if class_id < 1 or class_id in names:
            raise data_error(path, f'id {class_id} ' + (
                'comes twice' if class_id else 'must be at least 1'), remedy)
        names[class_id] = re.sub(r'\\(.)', r'\1', name[1][1:-1], flags=re.S)
    if not names:
        raise data_error(path, 'no entry is found', remedy)
    return dict(sorted(names.items()))


def write_label_map(path: str, names: Mapping[int, str]) -> None:
    """Writes names by id, from 1, as a .pbtxt file; folders are made."""
    items = []
    for number, name in names.items():
        name = re.sub(r'(["\\])', r'\\\1', name)
        items.append(f'item {{\n  name: "{name}"\n  id: {number}\n}}\n')
    put_text(''.join(items), path)


class AVAClasses(NamedTuple):
    """What columns 0, 1, ... of labels or scores stand for.

    ``ids`` are those of a file, int (num_classes, ), of which 0 is not used,
    and ``names`` those that are known, by id, '' without a label map. The
    file's ids are below ``num_in_file``.
    """
    ids: np.ndarray
    names: dict[int, str]
    num_in_file: int

    def check(self, labels: np.ndarray, ann_file: str, classes: str) -> None:
        """Raises an error if no label of a file is of a class; tells others.

        ``classes`` says where the classes come from.
        """
        others = ~np.isin(labels, list(self.names))
        if len(others) and others.all():
            raise ValueError(
                f'no action of {ann_file!r} is a class of {classes!r}; they '
                f'are {np.unique(labels)[:10].tolist()}. Remedy: give files '
                'and num_classes that belong together')
        if others.any():
            log(f'{int(others.sum())} of {len(others)} labels of {ann_file} '
                f'are of classes that {classes} does not list')


def choose_classes(num_classes: int,
                   custom_classes: Optional[Sequence[int]] = None,
                   label_file: Optional[str] = None) -> AVAClasses:
    """Classes by the options of AVA's data sets and metric.

    It is a ValueError if these do not fit each other.
    """
    if num_classes < 2:
        raise ValueError(f'num_classes={num_classes} must be at least 2: '
                         'column 0 is not used')
    names = read_label_map(label_file) if label_file else {}
    if custom_classes is None:
        if max(names, default=0) >= num_classes:
            raise ValueError(
                f'{label_file!r} has classes up to {max(names)}, but '
                f'num_classes={num_classes} allows {num_classes - 1}. Remedy: '
                f'set num_classes={max(names) + 1}, in model, data set and '
                'metric; column 0 is not used')
        ids = range(1, num_classes)
        names = names or dict.fromkeys(ids, '')
        return AVAClasses(np.array([0, *ids]), names, num_classes)
    ids = list(custom_classes)
    if len(set(ids)) < len(ids) or min(ids, default=0) < 1:
        raise ValueError(f'custom_classes={ids} must be different ids from 1 '
                         'on')
    if num_classes != len(ids) + 1:
        raise ValueError(
            f'num_classes={num_classes} must be {len(ids) + 1}, one more than '
            f'the {len(ids)} custom_classes')
    unknown = sorted(set(ids) - set(names))
    if unknown and label_file:
        raise ValueError(f'custom_classes has {unknown}, which '
                         f'{label_file!r} does not list')
    # Labels are int16.
    num_in_file = max(names) + 1 if label_file else 2**15
    return AVAClasses(np.array([0, *ids]), {i: names.get(i, '') for i in ids},
                      num_in_file)
