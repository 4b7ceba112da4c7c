# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Files with the scores of EPIC-KITCHENS-100 segments.

Two forms, by the file's ending:

- ``.npz``: arrays ``narration_id`` and, as far as there are any, ``verb``,
  ``noun``, ``action``.
- ``.pkl``: a dict with ``narration_id``, ``verb_output``, ``noun_output``,
  ``action_output``, the names that the challenge's own tools use.

Scores are logits or log-probabilities, one row a segment; NaN says that a
segment could not be scored. Numbers are kept exactly: as float32 where that
loses nothing, else as float64.
"""
import io
import os
import os.path as osp
import pickle
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from mmaction_memvit.annotations.pickles import read_pickle
from mmaction_memvit.annotations.table import data_error, read_bytes

from ..functional.epic_recognition import TASKS


def write_epic_dump(path: str, narration_ids: Sequence[str],
                    scores: Mapping[str, np.ndarray]) -> None:
    """Write scores to a file.

    Args:
        path (str): Where to; the ending ``.npz`` or ``.pkl`` says the form.
        narration_ids (Sequence[str]): Names of the N segments.
        scores (Mapping[str, np.ndarray]): By task, ``'verb'``, ``'noun'``,
            ``'action'``, of shape (N, num_classes).

    Raises:
        ValueError: If the ending is another.
    """
    check_dump_name(path)
    arrays = {task: _compact(scores[task]) for task in TASKS if task in scores}
    os.makedirs(osp.dirname(osp.abspath(path)), exist_ok=True)
    part = f'{path}.{os.getpid()}.part'
    with open(part, 'wb') as f:
        if path.endswith('.npz'):
            np.savez(f, narration_id=np.asarray(narration_ids, str), **arrays)
        else:
            pickle.dump(
                {
                    'narration_id': list(map(str, narration_ids)),
                    **{f'{task}_output': a for task, a in arrays.items()}
                }, f, pickle.HIGHEST_PROTOCOL)
    os.replace(part, path)


def read_epic_dump(path: str) -> tuple[list[str], dict[str, np.ndarray]]:
    """Read scores from a file.

    Args:
        path (str): File written by :func:`write_epic_dump`, or a pickle of
            the same form. No code in pickles is run.

    Returns:
        tuple: Narration ids, and float64 scores (N, num_classes) by task.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file has another form, or a segment comes twice.
    """
    check_dump_name(path)
    remedy = 'take a file that write_epic_dump or a metric has written'
    if path.endswith('.npz'):
        content = read_bytes(path, remedy)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                data = {name: arrays[name] for name in arrays.files}
        # A damaged archive may raise nearly anything.
        except Exception as e:
            raise data_error(path, f'it is no dump of EPIC scores: '
                             f'{type(e).__name__}: {e}', remedy) from e
    else:
        data = read_pickle(path, remedy)
    if not isinstance(data, dict):
        raise data_error(path, f'it is no dump, but a {type(data).__name__}',
                         remedy)
    if 'narration_id' not in data:
        raise ValueError(f"{path!r} has no 'narration_id', only "
                         f'{sorted(map(str, data))}')
    ids = [str(name) for name in data['narration_id']]
    twice = [name for name, num in Counter(ids).items() if num > 1]
    if twice:
        raise ValueError(f'{path!r}: {len(twice)} segments come more than '
                         f'once, such as {twice[:3]}')
    scores = {}
    for task in TASKS:
        for key in (task, f'{task}_output'):
            if key in data:
                scores[task] = np.asarray(data[key], np.float64)
    if not scores:
        raise ValueError(f'{path!r} has no scores, only {sorted(data)}')
    for task, array in scores.items():
        if array.ndim != 2 or len(array) != len(ids):
            raise ValueError(f'{path!r}: {task} scores have shape '
                             f'{array.shape}, which is not (number of '
                             f'segments, number of classes) for {len(ids)} '
                             'segments')
    return ids, scores


def check_dump_name(path: str) -> None:
    """Check the ending of a dump's name.

    Args:
        path (str): Name of the file.

    Raises:
        ValueError: If it ends neither with ``.npz`` nor with ``.pkl``.
    """
    if not path.endswith(('.npz', '.pkl')):
        raise ValueError(f'dump {path!r} must end with .npz or .pkl')


def _compact(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    with np.errstate(over='ignore'):
        small = array.astype(np.float32)
    return small if np.array_equal(small, array, equal_nan=True) else array
