# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Reads annotation lists of videos."""
import math
from typing import Optional

from mmengine.fileio import exists, list_from_file

FORMATS = {
    'video': 'path label [label ...]',
    'segments': 'path start end label[,label ...]',
}


def read_video_list(ann_file: str,
                    ann_format: str = 'video',
                    delimiter: str = ' ',
                    multi_class: bool = False,
                    num_classes: Optional[int] = None,
                    need_label: bool = True) -> list[dict]:
    """Reads a list of labelled videos.

    Lines are split from the right, so that paths may hold spaces. Two forms
    are known:

    - ``'video'``: ``path label``, as in MMAction2; with ``multi_class``
      ``path label label ...``.
    - ``'segments'``: ``path start end label``, one line a segment, times in
      seconds from the video's first frame; several labels of a segment are
      joined by commas. The lines of a video need not stand together.

    Label -1 says "not annotated". Empty lines and lines that begin with
    ``#`` are passed over.

    Args:
        ann_file (str): Path of the list.
        ann_format (str): ``'video'`` or ``'segments'``. Defaults to
            ``'video'``.
        delimiter (str): What stands between the fields; ``' '`` means any
            white space. Defaults to ``' '``.
        multi_class (bool): Whether a video or segment may have several
            labels. Defaults to False.
        num_classes (int, optional): Labels must be below it. Defaults to
            None: not checked.
        need_label (bool): Whether a line of form ``'video'`` must have a
            label; else one without gets -1. Defaults to True.

    Returns:
        list[dict]: For every video, in the order of first mention, ``path``
        (str), ``label`` (int, or list[int] with ``multi_class``) and, for
        ``'segments'``, ``segments``: list of ``(start, end, labels)``,
        seconds and a tuple of int.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the list is empty, a line is malformed, a label is out
            of range, or a video is listed twice. The message names file and
            line.
    """
    if ann_format not in FORMATS:
        raise ValueError(f'ann_format={ann_format!r} is unknown; it must be '
                         f'one of {sorted(FORMATS)}')
    if not ann_file or not exists(ann_file):
        raise FileNotFoundError(
            f'annotation list {ann_file!r} does not exist. Remedy: check '
            'ann_file, and data_root, which a relative ann_file is joined to')
    rows = {}
    for number, line in enumerate(list_from_file(ann_file), start=1):
        line = line.lstrip('\ufeff').strip()
        if not line or line.startswith('#'):
            continue
        reader = _Line(line, f'{ann_file}:{number}', delimiter, multi_class,
                       num_classes)
        if ann_format == 'video':
            path, label = reader.video(need_label)
            if path in rows:
                raise ValueError(
                    f'{ann_file}:{number}: {path!r} is listed before, on '
                    f'line {rows[path]["line"]}. Remedy: list a video once; '
                    'several labels go on one line with multi_class=True, or '
                    "into segments with ann_format='segments'")
            rows[path] = {'path': path, 'label': label, 'line': number}
        else:
            path, segment = reader.segment()
            if path not in rows:
                label = [] if multi_class else -1
                rows[path] = {'path': path, 'label': label, 'segments': []}
            rows[path]['segments'].append(segment)
    if not rows:
        raise ValueError(
            f'annotation list {ann_file!r} holds no video. Remedy: give it '
            f'lines of the form "{FORMATS[ann_format]}"')
    for row in rows.values():
        row.pop('line', None)
    return list(rows.values())


class _Line:
    """One line of a list and where it stands."""

    def __init__(self, line: str, where: str, delimiter: str,
                 multi_class: bool, num_classes: Optional[int]) -> None:
        self.line = line
        self.where = where
        self.delimiter = None if delimiter == ' ' else delimiter
        self.multi_class = multi_class
        self.num_classes = num_classes

    def video(self, need_label: bool):
        path, labels = self.line, []
        while True:
            parts = path.rsplit(self.delimiter, 1)
            if len(parts) < 2 or _as_int(parts[1]) is None:
                break
            path = parts[0].rstrip()
            labels.insert(0, _as_int(parts[1]))
            if not self.multi_class:
                break
        if not labels and need_label:
            raise self._malformed(FORMATS['video'], 'it ends with no label')
        self._check(labels)
        if self.multi_class:
            return path, [x for x in labels if x >= 0]
        return path, labels[0] if labels else -1

    def segment(self):
        parts = self.line.rsplit(self.delimiter, 3)
        if len(parts) < 4:
            raise self._malformed(FORMATS['segments'],
                                  f'it has {len(parts)} of 4 fields')
        path = parts[0].rstrip()
        start, end = _as_float(parts[1]), _as_float(parts[2])
        labels = [_as_int(x) for x in parts[3].split(',')]
        if start is None or end is None:
            raise self._malformed(FORMATS['segments'],
                                  'start and end must be seconds')
        if None in labels or (len(labels) > 1 and not self.multi_class):
            raise self._malformed(
                FORMATS['segments'], 'the label must be a whole number'
                if None in labels else
                'it has several labels, which needs multi_class=True')
        if not 0 <= start < end:
            raise self._malformed(
                FORMATS['segments'],
                f'start={start:g}, end={end:g}, but 0 <= start < end is '
                'needed')
        self._check(labels)
        return path, (start, end, tuple(x for x in labels if x >= 0))

    def _check(self, labels: list[int]) -> None:
        for label in labels:
            if label < -1 or (self.num_classes is not None
                              and label >= self.num_classes):
                top = '' if self.num_classes is None else \
                    f' to {self.num_classes - 1} (num_classes=' \
                    f'{self.num_classes})'
                raise ValueError(
                    f'{self.where}: label {label} is out of range; labels '
                    f'go from 0{top}, and -1 means not annotated. Remedy: '
                    'mend the line or num_classes; labels count from 0')

    def _malformed(self, form: str, why: str) -> ValueError:
        return ValueError(
            f'{self.where}: malformed line {self.line!r}: {why}. Remedy: '
            f'lines must read "{form}", the fields separated by '
            f'{"white space" if self.delimiter is None else self.delimiter!r}')


def _as_int(text: str) -> Optional[int]:
    try:
        return int(text)
    except ValueError:
        return None


def _as_float(text: str) -> Optional[float]:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
