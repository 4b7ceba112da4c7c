# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Names of classes, one a line, line k that of class k."""
import re
from collections.abc import Mapping

from mmengine.fileio import put_text

from ..messages import data_error
from .table import read_lines

_INDEXED = re.compile(r'c(\d{3})\s+(?=\S)', re.ASCII)


def read_class_names(path: str, remedy: str = 'check the path') -> list[str]:
    """Reads names of classes, as in Charades_v1_classes.txt.

    Numbers that all lines begin with (``c000 Holding some clothes``) are left
    out; it is an error if one is not that of its line, from c000. ``remedy``
    says what to do if the file is not there or not in order.
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
