# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Names of classes in the form of AVA's action lists (.pbtxt)."""
import io
import re
from collections.abc import Mapping

from mmengine.fileio import put_text

from ..messages import data_error
from .table import read_text

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ITEM = re.compile(
    rf'\b(?:label|item)\s*\{{((?:{_QUOTED}|[^{{}}"])*)\}}', re.S)
_NAME = re.compile(rf'\bname:\s*({_QUOTED})', re.S)
_ID = re.compile(r'\b(?:label_id|id):\s*(\d+)')


def read_label_map(path: str) -> dict[int, str]:
    """Reads the names of classes in either form of AVA's action lists.

    Entries are ``label { name: "..." label_id: 1 }`` or ``item { name: "..."
    id: 1 }``. One that lacks its name or id, or whose id is below 1 or comes
    twice, is a ValueError, as is a file without any.

    Returns:
        dict[int, str]: Names by id, in the order of ids.
    """
    remedy = ("take an action list in AVA's .pbtxt form, with entries like "
              'item { name: "stand" id: 12 }')
    names: dict[int, str] = {}
    for item in _ITEM.findall(read_text(path)):
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
    return {i: names[i] for i in sorted(names)}


def write_label_map(path: str, names: Mapping[int, str]) -> None:
    """Writes names by id, from 1, as a .pbtxt file; folders are made."""
    text = io.StringIO()
    for number, name in names.items():
        name = re.sub(r'(["\\])', r'\\\1', name)
        text.write(f'item {{\n  name: "{name}"\n  id: {number}\n}}\n')
    put_text(text.getvalue(), path)
