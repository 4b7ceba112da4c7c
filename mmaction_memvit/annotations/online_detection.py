# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Online action detection: THUMOS14, TVSeries and EPIC-KITCHENS-100.

What is going on is annotated at a rate, by default 4 times a second, in
*targets* (L, C): the classes at each of L instants, of which there may be
several. Class 0 is the background. Targets are published as one .npy a video,
or made here of the official lists of actions:

- *THUMOS14*: ``BaseballPitch_val.txt`` or ``BaseballPitch_test.txt`` and so
  on, a file a class, with lines ``video start end`` in seconds.
- *TVSeries*: ``GT-train.txt``, ``GT-val.txt`` and ``GT-test.txt``, with
  columns between tabs: video, class, start and end in seconds, twelve flags, a
  comment. This form is known from public programs that read it, not from the
  files, and so is the rule by which published targets round times, which the
  one here (:func:`frame_targets`) may differ from by an instant.
"""
import io
import json
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Optional

import numpy as np

from ..messages import check_choice, data_error, first_names, warn
from .table import read_bytes, read_lines, read_text, to_numbers


class Benchmark(NamedTuple):
    """What a benchmark measures.

    ``names`` of classes are empty where there are too many to list here,
    ``ambiguous`` is the class whose frames do not count, and ``calibrated``
    tells whether its measure is mcAP, or mAP. ``key`` is its name in
    ``data_info.json`` of LSTR and TeSTra.
    """
    key: str
    names: tuple[str, ...] = ()
    ambiguous: Optional[int] = None
    calibrated: bool = False


BENCHMARKS = {
    'thumos14': Benchmark('THUMOS', (
        'Background', 'BaseballPitch', 'BasketballDunk', 'Billiards',
        'CleanAndJerk', 'CliffDiving', 'CricketBowling', 'CricketShot',
        'Diving', 'FrisbeeCatch', 'GolfSwing', 'HammerThrow', 'HighJump',
        'JavelinThrow', 'LongJump', 'PoleVault', 'Shotput', 'SoccerPenalty',
        'TennisSwing', 'ThrowDiscus', 'VolleyballSpiking', 'Ambiguous'),
        ambiguous=21),
    'tvseries': Benchmark('TVSeries', (
        'Background', 'Pick something up', 'Point', 'Drink', 'Stand up',
        'Run', 'Sit down', 'Read', 'Smoke', 'Drive car', 'Open door',
        'Give something', 'Use computer', 'Write', 'Go down stairway',
        'Close door', 'Throw something', 'Go up stairway',
        'Get in/out of car', 'Hang up phone', 'Eat', 'Answer phone',
        'Dress up', 'Clap', 'Undress', 'Kiss', 'Fall/trip', 'Wave', 'Pour',
        'Punch', 'Fire weapon'), calibrated=True),
    'epic100': Benchmark('EK100'),
}
#: Splits of ``data_info.json``.
SPLITS = ('train', 'test')


class VideoActions(NamedTuple):
    """The A actions of a video.

    ``classes`` are int64 (A, ), ``times`` start and end in seconds, float64
    (A, 2).
    """
    classes: np.ndarray
    times: np.ndarray


def read_video_names(path: str, benchmark: str, split: str) -> list[str]:
    """Names of the videos of a benchmark, of LSTR's ``data_info.json``.

    Args:
        path (str): The file, as LSTR or TeSTra publish it.
        benchmark (str): 'thumos14', 'tvseries' or 'epic100'.
        split (str): 'train' or 'test'.

    Raises:
        ValueError: If the file has no such list, a video twice, or other
            classes.
    """
    check_choice('benchmark', benchmark, tuple(BENCHMARKS))
    check_choice('split', split, SPLITS)
    remedy = 'take data/data_info.json of the repository of LSTR or TeSTra'
    own = BENCHMARKS[benchmark]
    try:
        info = json.loads(read_text(path, remedy))[own.key]
        names, classes = info[f'{split}_session_set'], info['class_names']
    except (ValueError, KeyError, TypeError) as e:
        raise data_error(path, f'it has no {split} videos of {own.key} '
                         f'({type(e).__name__}: {e})', remedy) from e
    if own.names and tuple(classes) != own.names:
        wrong = sorted(set(classes) ^ set(own.names)) or 'others in order'
        raise data_error(path, f'its classes of {own.key} are not those of '
                         f'the benchmark: {wrong}', remedy)
    if len(set(names)) < len(names) or not names:
        raise data_error(path, f'the {len(names)} {split} videos of '
                         f'{own.key} must be different, and at least one',
                         remedy)
    return names


def read_thumos14(folder: str, split: str) -> dict[str, VideoActions]:
    """Actions by video of the official lists of THUMOS14.

    ``split`` is 'val' or 'test'; the folder must have the lists of all 20
    classes and ``Ambiguous_val.txt`` (or ``_test``).
    """
    check_choice('split', split, ('val', 'test'))
    remedy = ('unpack TH14_Temporal_annotations_validation.zip or '
              'TH14_Temporal_annotations_test.zip of THUMOS14, all files of '
              'which must be in one folder')
    rows = []
    for label, name in enumerate(BENCHMARKS['thumos14'].names[1:], 1):
        path = osp.join(folder, f'{name}_{split}.txt')
        for number, line in enumerate(read_lines(path, remedy), 1):
            cells = line.split()
            if cells:
                rows.append((f'{path}:{number}', cells, label))
    return _by_video([
        (where, cells[0], label, cells[1:] if len(cells) == 3 else ())
        for where, cells, label in rows], "'video_test_0000004 0.2 1.1'")


def read_tvseries(paths: Sequence[str]) -> dict[str, VideoActions]:
    """Actions by video of ``GT-train.txt`` and the like of TVSeries."""
    classes = {name: k for k, name in enumerate(BENCHMARKS['tvseries'].names)}
    form = "'24_ep1<tab>Point<tab>1.5<tab>2.5'"
    rows = []
    for path in paths:
        for number, line in enumerate(read_lines(path, 'take the annotations '
                                                 'of TVSeries'), 1):
            cells = [cell.strip() for cell in line.split('\t')]
            if not any(cells):
                continue
            where = f'{path}:{number}'
            if len(cells) < 4 or cells[1] not in classes:
                raise data_error(where, f'{line[:60]!r} does not begin with '
                                 'video, one of the 30 classes, start, end',
                                 f'lines must read {form}')
            rows.append((where, cells[0], classes[cells[1]], cells[2:4]))
    return _by_video(rows, form)


def _by_video(rows: Sequence[tuple], form: str) -> dict[str, VideoActions]:
    """Actions by video, of rows of file and line, video, class and times."""
    found: dict[str, list] = {}
    for where, video, label, cells in rows:
        start, end = to_numbers(cells).tolist() or (np.nan, np.nan)
        if not 0 <= start <= end < np.inf:
            raise data_error(where, f'video {video!r} has the times '
                             f'{list(cells)}, but needs start and end in '
                             'seconds, from 0 on, the end not before the '
                             'start', f'lines must read {form}')
        found.setdefault(video, []).append((label, start, end))
    return {
        video: VideoActions(np.asarray([x[0] for x in own], np.int64),
                            np.asarray([x[1:] for x in own], np.float64))
        for video, own in found.items()
    }


def frame_targets(actions: VideoActions,
                  num_frames: int,
                  num_classes: int,
                  rate: float = 4.) -> np.ndarray:
    """Targets of a video, uint8 (num_frames, num_classes).

    Target k stands for the time from ``k / rate`` to ``(k + 1) / rate`` and
    has the classes that go on in its middle; where none does, that is class
    0, the background. So an action shorter than ``1 / rate`` may be in none.
    """
    middles = (np.arange(num_frames) + 0.5) / rate
    targets = np.zeros((num_frames, num_classes), np.uint8)
    # From the first middle that is not before the time.
    spans = np.searchsorted(middles, actions.times)
    for label, (first, stop) in zip(actions.classes, spans):
        targets[first:stop, label] = 1
    targets[:, 0] = ~targets.any(1)
    return targets


def make_targets(actions: Mapping[str, VideoActions],
                 lengths: Mapping[str, int],
                 num_classes: int,
                 rate: float = 4.) -> dict[str, np.ndarray]:
    """Targets of videos whose ``lengths`` are given, see above.

    A video without actions shows background. Actions after the end of their
    video, as THUMOS14 has some, are warned of.
    """
    nothing = VideoActions(np.zeros(0, np.int64), np.zeros((0, 2)))
    late = [name for name, num in lengths.items() if (
        actions.get(name, nothing).times[:, 0] >= num / rate).any()]
    if late:
        warn(f'{len(late)} of {len(lengths)} videos have actions after their '
             f'end: {first_names(late)}. Remedy, if these are many: check '
             f'rate={rate:g}')
    return {name: frame_targets(actions.get(name, nothing), num, num_classes,
                                rate) for name, num in lengths.items()}


def read_targets(path: str, num_classes: int) -> np.ndarray:
    """Published targets of a video, uint8 (L, num_classes), of a .npy file.

    It is a ValueError if they are not zeros and ones of that shape.
    """
    remedy = ('take target_perframe/*.npy as LSTR and TeSTra publish them, of '
              'the benchmark that the config is for')
    try:
        targets = np.load(io.BytesIO(read_bytes(path, remedy)),
                          allow_pickle=False)
    except ValueError as e:
        raise data_error(path, f'it is no array: {e}', remedy) from e
    if targets.ndim != 2 or targets.shape[1] != num_classes or (
            (targets != 0) & (targets != 1)).any():
        raise data_error(path, f'it is of shape {targets.shape}, from '
                         f'{targets.min(initial=0)} to '
                         f'{targets.max(initial=0)}, but must be zeros and '
                         f'ones, (L, {num_classes})', remedy)
    return targets.astype(np.uint8)
