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
  files.

How published targets round times is not told; what is made here shows what
goes on in the middle of each feature, and may differ by one.
"""
import json
import os.path as osp
from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np

from ..messages import check_choice, data_error
from .table import read_lines, read_text, to_numbers


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


def read_actions(folder: str, benchmark: str,
                 split: str) -> dict[str, VideoActions]:
    """Actions by video, of the official lists in a folder.

    Args:
        folder (str): Of THUMOS14 with the lists of all 20 classes and that of
            what is ambiguous; of TVSeries with all three lists, as the split
            of 20 and 7 episodes is not that of the lists.
        benchmark (str): 'thumos14' or 'tvseries'.
        split (str): 'train' (of THUMOS14 ``_val.txt``) or 'test'.
    """
    check_choice('benchmark', benchmark, ('thumos14', 'tvseries'))
    check_choice('split', split, SPLITS)
    names = BENCHMARKS[benchmark].names
    if benchmark == 'thumos14':
        end = 'val' if split == 'train' else 'test'
        lists = {f'{name}_{end}.txt': label
                 for label, name in enumerate(names[1:], 1)}
        remedy = ('unpack TH14_Temporal_annotations_validation.zip and '
                  '..._test.zip of THUMOS14, all their lists into one folder')
    else:
        lists = {f'GT-{part}.txt': None for part in ('train', 'val', 'test')}
        remedy = 'take the annotations of TVSeries'
    rows = []
    for name, label in lists.items():
        path = osp.join(folder, name)
        for number, line in enumerate(read_lines(path, remedy), 1):
            if line.strip():
                rows.append(_read_row(line, names, label, f'{path}:{number}'))
    return _by_video(rows)


def _read_row(line: str, names: Sequence[str], label: Optional[int],
              where: str) -> tuple[str, int, float, float]:
    """Video, class, start and end of a line; ``label`` is the list's."""
    if label is None:
        cells = [cell.strip() for cell in line.split('\t')[:4]]
        form = '24_ep1<tab>Point<tab>1.5<tab>2.5'
        label = names.index(cells.pop(1)) if cells[1:2] and cells[
            1] in names[1:] else 0
    else:
        cells, form = line.split(), 'video_test_0000004  0.2 1.1'
    times = to_numbers(cells[1:]).tolist()
    if not label or len(times) != 2 or not 0 <= times[0] <= times[1] < np.inf:
        raise data_error(
            where, f'{line[:60]!r} is not a video, a class of the benchmark, '
            'and start and end in seconds, from 0 on, the end not before the '
            'start', f'lines must read {form!r}')
    return cells[0], label, times[0], times[1]


def _by_video(rows: Sequence[tuple]) -> dict[str, VideoActions]:
    """Actions of rows of video, class, start and end."""
    found: dict[str, list] = {}
    for video, *action in rows:
        found.setdefault(video, []).append(action)
    return {
        video: VideoActions(np.asarray([x[0] for x in own], np.int64),
                            np.asarray([x[1:] for x in own], np.float64))
        for video, own in found.items()}


def targets_at(actions: VideoActions, instants: np.ndarray,
               num_classes: int) -> np.ndarray:
    """Targets of a video at instants (T, ), uint8 (T, num_classes).

    They are the classes that go on then, from their start on and before their
    end; where none does, that is class 0, the background. Instants are
    seconds, NaN for none, where all is 0.
    """
    targets = np.zeros((len(instants), num_classes), np.uint8)
    starts, ends = actions.times.T
    instants = np.asarray(instants)[:, None]
    rows, columns = np.nonzero((instants >= starts) & (instants < ends))
    targets[rows, actions.classes[columns]] = 1
    targets[:, 0] = ~targets.any(1) & ~np.isnan(instants[:, 0])
    return targets
