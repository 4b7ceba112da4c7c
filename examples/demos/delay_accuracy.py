# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""How well a model answers, by how long ago it saw the answer."""
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import pandas as pd

from mmaction_memvit.messages import text_table


class DelayAccuracy(NamedTuple):
    """Questions answered rightly, of how many, at one delay."""
    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        """float: Share of right answers, 0 to 1."""
        return self.correct / self.total


def scores_to_numpy(scores: Any) -> np.ndarray:
    """Class scores (num_classes, ) of any kind and device as float64."""
    if hasattr(scores, 'detach'):
        scores = scores.detach().float().cpu().numpy()
    return np.asarray(scores, dtype=np.float64)


def question_records(
        results: Iterable[Mapping[str, Any]],
        questions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The questions, in their order, each with the model's answer ``pred``.

    Args:
        results (Iterable[Mapping]): One mapping a clip with ``video_id``,
            ``timestamp`` (number of the clip) and ``pred_score`` of shape
            (num_classes, ), as in the file that MMEngine's ``DumpResults``
            writes. Clips without a question are passed over.
        questions (Sequence[Mapping]): Questions with ``video``, ``clip``,
            ``delay`` and ``label``, as in ``longcue_meta.json``.

    Raises:
        ValueError: If a question has no result.
    """
    wanted = {(question['video'], question['clip']) for question in questions}
    found: dict[tuple[str, int], int] = {}
    for result in results:
        clip = (result['video_id'], int(result['timestamp']))
        if clip in wanted:
            found[clip] = int(scores_to_numpy(result['pred_score']).argmax())
    missing = sorted(wanted - set(found))
    if missing:
        raise ValueError(
            f'{len(missing)} of {len(wanted)} questions have no result, the '
            f'first is clip {missing[0][1]} of {missing[0][0]!r}; results '
            'and questions must be of the same split, and video_id the path '
            'in the annotation list')
    return [{**question, 'pred': found[question['video'], question['clip']]}
            for question in questions]


def accuracy_by_delay(
        records: Iterable[Mapping[str, Any]]) -> dict[int, DelayAccuracy]:
    """Counts right answers by delay, in ascending order.

    Records are questions with ``delay``, ``label`` and ``pred``.
    """
    table = pd.DataFrame(list(records), columns=['delay', 'label', 'pred'])
    right = (table['pred'] == table['label']).groupby(table['delay'])
    return {delay: DelayAccuracy(int(x.sum()), len(x)) for delay, x in right}


def overall_accuracy(table: Mapping[int, DelayAccuracy]) -> DelayAccuracy:
    """Adds up the accuracies of all delays."""
    return DelayAccuracy(sum(entry.correct for entry in table.values()),
                         sum(entry.total for entry in table.values()))


def format_delay_table(models: Mapping[str, Mapping[int, DelayAccuracy]],
                       chance: float) -> str:
    """A table of accuracy by delay, a line a delay and one for all of them.

    Args:
        models (Mapping[str, Mapping[int, DelayAccuracy]]): By the name of a
            model, its accuracy by delay; all were asked the same questions.
        chance (float): Accuracy of guessing, 0 to 1.
    """
    rows = [(delay, [table[delay] for table in models.values()])
            for delay in next(iter(models.values()))]
    rows.append(('all', list(map(overall_accuracy, models.values()))))
    lines = text_table([
        ('delay', 'questions', *models, 'chance'),
        *((label, entries[0].total, *(f'{x.accuracy:.1%}' for x in entries),
           f'{chance:.1%}') for label, entries in rows)], left=()).split('\n')
    rule = '-' * len(lines[0])
    return '\n'.join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def plot_accuracy_by_delay(models: Mapping[str, Mapping[int, DelayAccuracy]],
                           out_file: str, chance: float,
                           mem_len: Optional[int] = None, title: str = '',
                           xlabel: str = 'clips from cue to question') -> None:
    """Plot accuracy by delay, a line a model; as :func:`format_delay_table`.

    ``mem_len`` clips that the memory attends to are marked; the ending of
    ``out_file`` says the format.
    """
    # Drawn on a canvas of its own: a library must not touch pyplot's backend.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    delays = [*next(iter(models.values()))]
    figure = Figure(figsize=(6.4, 4), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for (name, table), marker in zip(models.items(), 'osD^v<>' * len(models)):
        axes.plot(delays, [100 * table[delay].accuracy for delay in delays],
                  marker=marker, label=name)
    axes.axhline(100 * chance, color='grey', linestyle='--', label='chance')
    if mem_len is not None:
        axes.axvline(mem_len, color='grey', linestyle=':',
                     label=f'memory length {mem_len}')
    axes.set_xticks(delays)
    axes.set_ylim(-3, 103)
    axes.set_xlabel(xlabel)
    axes.set_ylabel('accuracy, %')
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(loc='best')
    figure.savefig(out_file, dpi=150)
