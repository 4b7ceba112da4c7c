# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""How well a model answers, by how long ago it saw the answer."""
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np


class DelayAccuracy(NamedTuple):
    """Accuracy at one delay.

    Args:
        correct (int): Questions answered rightly.
        total (int): Questions asked.
    """
    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        """float: Share of right answers, 0 to 1."""
        return self.correct / self.total


def scores_to_numpy(scores: Any) -> np.ndarray:
    """Turn class scores into a NumPy vector.

    Args:
        scores (Tensor | np.ndarray | Sequence[float]): Scores of shape
            (num_classes, ), on any device.

    Returns:
        np.ndarray: The scores of shape (num_classes, ), float64.

    Raises:
        ValueError: If the scores are not a vector.
    """
    if hasattr(scores, 'detach'):
        scores = scores.detach().float().cpu().numpy()
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or not len(scores):
        raise ValueError(f'scores of shape {scores.shape} must be a vector '
                         'with one number a class; pass one clip at a time')
    return scores


def question_records(
        results: Iterable[Mapping[str, Any]],
        questions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Find the model's answer to every question.

    Args:
        results (Iterable[Mapping]): One mapping a clip with ``video_id``,
            ``timestamp`` (number of the clip) and ``pred_score`` of shape
            (num_classes, ), as in the file that MMEngine's ``DumpResults``
            writes. Clips without a question are passed over.
        questions (Sequence[Mapping]): Questions with ``video``, ``clip``,
            ``delay`` and ``label``, as in ``longcue_meta.json``.

    Returns:
        list[dict]: The questions, in their order, each with the model's
        answer ``pred`` added.

    Raises:
        ValueError: If a question has no result, or a clip has several.
    """
    wanted = {(question['video'], question['clip']) for question in questions}
    found: dict[tuple[str, int], int] = {}
    for result in results:
        clip = (result['video_id'], int(result['timestamp']))
        if clip not in wanted:
            continue
        if clip in found:
            raise ValueError(
                f'clip {clip[1]} of {clip[0]!r} has more than one result; '
                'evaluate every clip once')
        found[clip] = int(scores_to_numpy(result['pred_score']).argmax())
    missing = sorted(wanted - set(found))
    if missing:
        raise ValueError(
            f'{len(missing)} of {len(wanted)} questions have no result, the '
            f'first is clip {missing[0][1]} of {missing[0][0]!r}; results '
            'and questions must be of the same split, and video_id the path '
            'in the annotation list')
    return [{
        **question, 'pred': found[question['video'], question['clip']]
    } for question in questions]


def accuracy_by_delay(
        records: Iterable[Mapping[str, Any]]) -> dict[int, DelayAccuracy]:
    """Count right answers by delay.

    Args:
        records (Iterable[Mapping]): Questions with ``delay``, ``label`` and
            ``pred``.

    Returns:
        dict[int, DelayAccuracy]: Accuracy by delay, in ascending order.

    Raises:
        ValueError: If there are no records.
    """
    correct: dict[int, int] = {}
    total: dict[int, int] = {}
    for record in records:
        delay = int(record['delay'])
        right = int(record['pred']) == int(record['label'])
        correct[delay] = correct.get(delay, 0) + right
        total[delay] = total.get(delay, 0) + 1
    if not total:
        raise ValueError('no questions to count, at least 1 is needed; is '
                         'the list of questions empty?')
    return {
        delay: DelayAccuracy(correct[delay], total[delay])
        for delay in sorted(total)
    }


def overall_accuracy(table: Mapping[int, DelayAccuracy]) -> DelayAccuracy:
    """Add up the accuracies of all delays.

    Args:
        table (Mapping[int, DelayAccuracy]): Accuracy by delay.

    Returns:
        DelayAccuracy: Accuracy over all questions.
    """
    return DelayAccuracy(
        sum(entry.correct for entry in table.values()),
        sum(entry.total for entry in table.values()))


def _check_models(
        models: Mapping[str, Mapping[int, DelayAccuracy]]) -> list[int]:
    """Return the delays, the same for all models."""
    if not models:
        raise ValueError('0 models to show, at least 1 is needed')
    asked = {
        name: {delay: entry.total
               for delay, entry in table.items()}
        for name, table in models.items()
    }
    first = next(iter(asked))
    for name, totals in asked.items():
        if totals != asked[first]:
            raise ValueError(
                f'{name!r} answered {totals} questions by delay but {first!r} '
                f'{asked[first]}; evaluate both on the same questions')
    return sorted(asked[first])


def format_delay_table(models: Mapping[str, Mapping[int, DelayAccuracy]],
                       chance: float) -> str:
    """Write a table of accuracy by delay.

    Args:
        models (Mapping[str, Mapping[int, DelayAccuracy]]): By the name of a
            model, its accuracy by delay.
        chance (float): Accuracy of guessing, 0 to 1.

    Returns:
        str: A line a delay and one for all of them: number of questions, per
        cent right of every model, chance.

    Raises:
        ValueError: If the models were not asked the same questions.
    """
    delays = _check_models(models)
    rows = [['delay', 'questions', *models, 'chance']]
    totals = {name: overall_accuracy(table) for name, table in models.items()}
    for label, entries in [
        *((str(delay), [table[delay] for table in models.values()])
          for delay in delays), ('all', list(totals.values()))
    ]:
        rows.append([
            label,
            str(entries[0].total),
            *(f'{entry.accuracy:.1%}' for entry in entries), f'{chance:.1%}'
        ])
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        '  '.join(cell.rjust(width) for cell, width in zip(row, widths))
        for row in rows
    ]
    rule = '-' * len(lines[0])
    return '\n'.join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def plot_accuracy_by_delay(models: Mapping[str, Mapping[int, DelayAccuracy]],
                           out_file: str,
                           chance: float,
                           mem_len: Optional[int] = None,
                           title: str = '',
                           xlabel: str = 'clips from cue to question') -> None:
    """Plot accuracy by delay, a line a model.

    Args:
        models (Mapping[str, Mapping[int, DelayAccuracy]]): By the name of a
            model, its accuracy by delay.
        out_file (str): Picture to write; its ending says the format.
        chance (float): Accuracy of guessing, 0 to 1.
        mem_len (int, optional): Number of clips that the memory attends to,
            marked in the plot. Defaults to None.
        title (str): Title of the plot. Defaults to ''.
        xlabel (str): What delays are. Defaults to 'clips from cue to
            question'.

    Raises:
        ValueError: If the models were not asked the same questions.
    """
    # Drawn on a canvas of its own: a library must not touch pyplot's backend.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    delays = _check_models(models)
    figure = Figure(figsize=(6.4, 4), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for (name, table), marker in zip(models.items(), 'osD^v<>' * len(models)):
        axes.plot(
            delays, [100 * table[delay].accuracy for delay in delays],
            marker=marker,
            label=name)
    axes.axhline(100 * chance, color='grey', linestyle='--', label='chance')
    if mem_len is not None:
        axes.axvline(
            mem_len,
            color='grey',
            linestyle=':',
            label=f'memory length {mem_len}')
    axes.set_xticks(delays)
    axes.set_ylim(-3, 103)
    axes.set_xlabel(xlabel)
    axes.set_ylabel('accuracy, %')
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(loc='best')
    figure.savefig(out_file, dpi=150)
