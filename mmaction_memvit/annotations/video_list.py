# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Lists of labelled videos, MMAction2's and those of segments."""
import io
import posixpath
import re
from collections.abc import Iterable
from typing import Optional

from mmengine.fileio import put_text

from ..messages import check_choice, data_error
from .table import read_lines, to_numbers

FORMATS = {'video': 'path label [label ...]',
           'segments': 'path start end label[,label ...]'}
# A path with seconds behind it: 'a.mp4 12.0 15.5', 'a.mp4 12.0'.
_TIMED = re.compile(r'.*\.\w*[a-zA-Z]\w*'
                    r'(\s+\d+\.\d+(\s+\d+)?|(\s+\d+(\.\d+)?)?\s+\d+\.\d+)')
# A path that would look like a comment, or lose its white space, is written
# with ./ before it.
_ODD = re.compile(r'(\./)*[#\s\ufeff]')


def read_video_list(ann_file: str, ann_format: str = 'video',
                    delimiter: str = ' ', multi_class: bool = False,
                    num_classes: Optional[int] = None,
                    need_label: bool = True) -> list[dict]:
    """Reads a list of labelled videos, in the order of first mention.

    Lines are split from the right, so that paths may hold spaces. They are, of
    form ``'video'``, ``path label``, as in MMAction2, or with ``multi_class``
    ``path label label ...``; of ``'segments'`` ``path start end label``, one a
    segment, times in seconds, several labels joined by commas, the lines of a
    video in any place.

    Label -1 says "not annotated". Empty lines and lines that begin with ``#``
    are passed over; a path that begins so is written ``./#...``.

    Args:
        ann_file (str): Path of the list.
        ann_format (str): ``'video'`` or ``'segments'``. Defaults to
            ``'video'``.
        delimiter (str): What stands between the fields; ``' '`` means any
            white space. Defaults to ``' '``.
        multi_class (bool): Whether a video or segment may have several labels.
            Defaults to False.
        num_classes (int, optional): Labels must be below it. Defaults to None:
            not checked.
        need_label (bool): Whether a line of form ``'video'`` must have a
            label; else one without gets -1. Defaults to True.

    Returns:
        list[dict]: ``path`` (str), ``label`` (int, or list[int] with
        ``multi_class``) and, for ``'segments'``, ``segments``: list of
        ``(start, end, labels)``, seconds and a tuple of int.
    """
    check_choice('ann_format', ann_format, tuple(FORMATS))
    lines = read_lines(ann_file, 'check ann_file, and data_root, which a '
                       'relative ann_file is joined to')
    rows: dict[str, dict] = {}
    first: dict[str, int] = {}
    for number, text in enumerate(lines, start=1):
        text = text.strip()
        if not text or text.startswith('#'):
            continue
        where = f'{ann_file}:{number}'
        try:
            path, *span, labels = (
                _read_segment(text, delimiter) if ann_format == 'segments' else
                _read_video(text, delimiter, multi_class, need_label))
            if len(labels) > 1 and not multi_class:
                raise ValueError('it has several labels, which needs '
                                 'multi_class=True')
        except ValueError as e:
            between = 'white space' if delimiter == ' ' else repr(delimiter)
            raise data_error(
                where, f'malformed line {text!r}: {e}', 'lines must read '
                f'"{FORMATS[ann_format]}", the fields separated by {between}; '
                f'or another ann_format than {ann_format!r}'
            ) from None
        _check_labels(where, labels, num_classes)
        labels = [label for label in labels if label >= 0]
        # "./a.mp4" is the same video as "a.mp4".
        video = posixpath.normpath(path)
        if span:
            row = rows.setdefault(video, {
                'path': path, 'label': [] if multi_class else -1,
                'segments': []})
            row['segments'].append((*span, tuple(labels)))
            continue
        if video in rows:
            raise data_error(
                where, f'{path!r} is listed before, on line {first[video]}',
                'list a video once; several labels go on one line with '
                "multi_class=True, or into segments with ann_format="
                "'segments'")
        rows[video], first[video] = {
            'path': path, 'label': labels if multi_class
            else (labels or [-1])[0]}, number
    if not rows:
        raise data_error(ann_file, 'it holds no video', 'give it lines of the '
                         f'form "{FORMATS[ann_format]}"')
    timed = list(filter(_TIMED.fullmatch, rows))
    if ann_format == 'video' and timed:
        raise data_error(
            ann_file, f'the path {timed[0]!r} ends with seconds',
            "for a list of segments set ann_format='segments' (of tools: "
            '--ann-format segments)')
    return list(rows.values())


def _split(text: str, delimiter: str, num: int) -> list[str]:
    path, *fields = text.rsplit(None if delimiter == ' ' else delimiter, num)
    return [path.rstrip() if fields else path, *fields]


def _read_video(path: str, delimiter: str, multi_class: bool,
                need_label: bool) -> tuple[str, list[int]]:
    labels: list[int] = []
    while multi_class or not labels:
        rest, *field = _split(path, delimiter, 1)
        if not field or not _is_int(field[0]):
            break
        path = rest
        labels.insert(0, int(field[0]))
    if not labels and need_label:
        raise ValueError('it ends with no label')
    return _unescaped(path), labels


def _read_segment(text: str, delimiter: str
                  ) -> tuple[str, float, float, list[int]]:
    path, *fields = _split(text, delimiter, 3)
    if len(fields) < 3:
        raise ValueError(f'it has {len(fields) + 1} of 4 fields')
    start, end = to_numbers(fields[:2]).tolist()
    labels = fields[2].split(',')
    if not all(map(_is_int, labels)):
        raise ValueError('the label must be a whole number')
    if not 0 <= start < end < float('inf'):
        raise ValueError(f'start={fields[0]}, end={fields[1]}, but seconds '
                         'with 0 <= start < end are needed')
    return _unescaped(path), start, end, list(map(int, labels))


def _check_labels(where: str, labels: list[int],
                  num_classes: Optional[int]) -> None:
    wrong = [x for x in labels if not -1 <= x < (num_classes or float('inf'))]
    if wrong:
        last = '' if num_classes is None else (
            f' to {num_classes - 1} (num_classes={num_classes})')
        raise data_error(
            where, f'label {wrong[0]} is out of range; labels go from 0{last},'
            ' and -1 means not annotated', 'correct the line or num_classes; '
            'labels count from 0')


def _is_int(text: str) -> bool:
    return bool(re.fullmatch(r'\s*[+-]?\d+\s*', text))


def _unescaped(path: str) -> str:
    return path[2:] if path[:2] == './' and _ODD.match(path[2:]) else path


def write_video_list(ann_file: str, rows: Iterable[tuple]) -> None:
    """Writes a list that :func:`read_video_list` gives back.

    Rows are path and label of videos, or path, start, end and label of
    segments, the times in seconds. It is an error if a path would not be read
    back. Folders are made.
    """
    out = io.StringIO()
    for path, *fields in rows:
        if not path or path != path.rstrip() or re.search('[\0\r\n]', path):
            raise data_error(
                ann_file, f'the path {path!r} is empty, ends with white space '
                'or has line breaks, which lists cannot hold', 'rename it')
        dots = './' if _ODD.match(path) else ''
        out.write(' '.join([dots + path, *map(str, fields)]) + '\n')
    put_text(out.getvalue(), ann_file)
