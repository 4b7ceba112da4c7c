# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Files with the scores of EPIC-KITCHENS-100 segments.

Two forms, by the file's ending:

- ``.npz``: arrays ``narration_id`` and, as far as there are any, ``verb``,
  ``noun``, ``action``.
- ``.pkl``: a dict with ``narration_id``, ``verb_output``, ``noun_output``,
  ``action_output``, the names that the challenge's own tools use.

With actions both have ``action_pairs``, their verbs and nouns.

Scores are logits or log-probabilities, one row a segment; NaN says that a
segment could not be scored. Numbers are kept exactly: as float32 where that
loses nothing, else as float64.
"""
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import mmengine
import numpy as np
from mmengine.fileio import put

from ...annotations.epic_lists import EpicActions
from ...annotations.table import read_bytes, read_pickle
from ...messages import data_error, first_names
from ..functional.epic import TASKS

_PAIRS = 'action_pairs'
_REMEDY = ('take a file that test_evaluator.dump_file=FILE.npz of a test has '
           "written; what its --dump has written is measured by MMAction2's "
           'eval_metric.py: python -m mmaction_memvit eval_metric CONFIG DUMP')


def write_epic_dump(path: str, narration_ids: Sequence[str],
                    scores: Mapping[str, np.ndarray],
                    actions: Optional[EpicActions] = None) -> None:
    """Write scores (N, num_classes) by task; the ending says the form.

    ``actions`` are those that scores of actions are of.
    """
    check_dump_name(path)
    arrays = {task: _compact(scores[task]) for task in TASKS if task in scores}
    pairs = {} if actions is None or 'action' not in scores else {
        _PAIRS: actions.pairs}
    if path.endswith('.npz'):
        out = io.BytesIO()
        np.savez(out, narration_id=np.asarray(narration_ids, str), **arrays,
                 **pairs)
        put(out.getvalue(), path)
    else:
        outputs = {f'{task}_output': a for task, a in arrays.items()}
        mmengine.dump({'narration_id': list(map(str, narration_ids)),
                       **outputs, **pairs}, path)


def read_epic_dump(path: str) -> tuple[list[str], dict[str, np.ndarray]]:
    """Narration ids, and float64 scores (N, num_classes) by task, of a file.

    No code in pickles is run. It is a ValueError if the file has another form,
    or a segment comes twice.
    """
    data = _read(path)
    scores = {task: np.asarray(data[key], np.float64) for task in TASKS
              for key in (task, f'{task}_output') if key in data}
    if 'narration_id' not in data or not scores:
        raise data_error(path, "it must have 'narration_id' and scores of "
                         f'{", ".join(TASKS)}, but has '
                         f'{sorted(map(str, data))}', _REMEDY)
    ids = [str(name) for name in data['narration_id']]
    twice = [name for name, num in Counter(ids).items() if num > 1]
    if twice:
        raise data_error(path, f'{len(twice)} segments come more than once: '
                         f'{first_names(twice)}', _REMEDY)
    for task, array in scores.items():
        if array.ndim != 2 or len(array) != len(ids):
            raise data_error(
                path, f'{task} scores of shape {array.shape} are not '
                f'(segments, classes) for {len(ids)} segments', _REMEDY)
    return ids, scores


def read_dumped_actions(path: str) -> Optional[EpicActions]:
    """Actions that the scores of a file are of; None if it does not tell."""
    pairs = _read(path).get(_PAIRS)
    return None if pairs is None else EpicActions(pairs)


def _read(path: str) -> dict[str, Any]:
    check_dump_name(path)
    if path.endswith('.npz'):
        content = read_bytes(path, _REMEDY)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                data = {name: arrays[name] for name in arrays.files}
        # A damaged archive may raise nearly anything.
        except Exception as e:
            raise data_error(path, f'it is no dump of EPIC scores: '
                             f'{type(e).__name__}: {e}', _REMEDY) from e
    else:
        data = read_pickle(path, _REMEDY)
    if not isinstance(data, dict):
        raise data_error(path, f'it is no dump, but a {type(data).__name__}',
                         _REMEDY)
    return data


def check_dump_name(path: str) -> None:
    """Raises a ValueError if a name ends neither with .npz nor with .pkl."""
    if not path.endswith(('.npz', '.pkl')):
        raise ValueError(f'dump {path!r} must end with .npz or .pkl')


def _compact(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    with np.errstate(over='ignore'):
        small = array.astype(np.float32)
    return small if np.array_equal(small, array, equal_nan=True) else array
