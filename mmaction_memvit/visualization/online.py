# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a model says along a stream: as rows, on pictures, over time."""
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

# Names of classes by task; '' where there is one only.
Names = Mapping[str, Mapping[int, str]]
# Of persons, by their number.
_COLORS = ((255, 190, 90), (120, 220, 255), (160, 255, 140), (255, 150, 170),
           (210, 170, 255), (255, 255, 130))
# Pixels of the shorter side, below which nothing could be read.
_SMALLEST = 240
# Letters of a name on a picture.
_LONGEST = 32


class Scores(NamedTuple):
    """Scores of one task at one time, of one person if there are boxes."""
    task: str  # 'verb' and the like; '' where there is one only
    start: float  # seconds
    end: float
    box: int | None  # number of the box in its clip
    scores: np.ndarray  # (num_classes, )

    def best(self, num: int) -> list[int]:
        """Classes of the highest scores, the best one first."""
        return np.argsort(-self.scores, kind='stable')[:num].tolist()


def split_scores(step: Any) -> Iterator[Scores]:
    """Scores of a ClipPrediction one by one: tasks, tokens, persons."""
    tasks = step.scores if isinstance(step.scores, dict) else {'': step.scores}
    for task, scores in tasks.items():
        scores = np.asarray(scores)
        if step.boxes is not None:
            for i, row in enumerate(scores):
                yield Scores(task, step.start, step.end, i, row)
            continue
        rows = np.atleast_2d(scores)
        edges = np.linspace(step.start, step.end, len(rows) + 1).tolist()
        for start, end, row in zip(edges, edges[1:], rows):
            yield Scores(task, start, end, None, row)


def name_of(names: Names, task: str, label: int) -> str:
    """Name of a class; its number where nobody tells."""
    return names.get(task, {}).get(label) or f'{task or "class"} {label}'


def best_rows(step: Any, names: Names, num: int,
              persons: Sequence[int] | None = None) -> list[dict]:
    """The ``num`` best classes of a clip, as rows of a table.

    Of each task, temporal token and person of a ClipPrediction; ``persons``
    says who is in which box.
    """
    rows = []
    for x in split_scores(step):
        place = dict.fromkeys(('person', 'x1', 'y1', 'x2', 'y2'))
        if x.box is not None:
            corners = np.asarray(step.boxes)[x.box].round(4).tolist()
            place = dict(person=persons[x.box] if persons else x.box + 1,
                         **dict(zip(('x1', 'y1', 'x2', 'y2'), corners)))
        rows += [
            dict(clip=step.clip, start=round(x.start, 3), end=round(x.end, 3),
                 task=x.task, **place, label=label,
                 name=name_of(names, x.task, label),
                 score=round(float(x.scores[label]), 4))
            for label in x.best(num)]
    return rows


def draw_rows(image: np.ndarray, rows: Sequence[dict],
              title: str = '') -> np.ndarray:
    """Write rows of :func:`best_rows` on a copy of a picture (H, W, 3), RGB.

    Those with a box stand at it, the others in a corner, below the title.
    Small pictures are enlarged, a whole number of times, until the writing has
    room.
    """
    image = enlarged(image, _SMALLEST)
    height, width = image.shape[:2]
    scale = max(min(height, width) / 480, 0.6)
    blocks: dict[tuple, list[str]] = {}
    if title:
        blocks[None, None] = [title]
    for row in rows:
        who, box = row['person'], None
        if who is not None:
            box = tuple(int(row[k] * side) for k, side in zip(
                ('x1', 'y1', 'x2', 'y2'), (width, height) * 2))
            color = _COLORS[who % len(_COLORS)]
            cv2.rectangle(image, box[:2], box[2:], color,
                          max(1, round(2 * scale)))
        lines = blocks.setdefault(
            (who, box), [] if who is None else [f'person {who}'])
        lines.append(f"{row['score']:.2f} {_short(row['name'])}")
    taken: list[tuple] = []
    for (who, box), lines in blocks.items():
        color = (255, 255, 255) if who is None else \
            _COLORS[who % len(_COLORS)]
        write_lines(image, lines, box, color, 0.55 * scale, taken)
    return image


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f'{name[:_LONGEST - 2]}..'


def enlarged(image: np.ndarray, least: int) -> np.ndarray:
    """A copy, a whole number of times as large: sides of so many pixels."""
    times = math.ceil(least / min(image.shape[:2]))
    return np.repeat(np.repeat(image, times, 0), times, 1)


def write_lines(image: np.ndarray, lines: list[str], box: tuple | None,
                color: tuple, size: float, taken: list[tuple]) -> None:
    """Write lines at a box, or in a corner, where nothing is written yet.

    ``taken`` are the places that are, and get this one.
    """
    widths, heights = zip(*(cv2.getTextSize(x, 0, size, 1)[0] for x in lines))
    step, pad = round(1.7 * max(heights)), 3
    width, height = max(widths) + 2 * pad, step * len(lines) + pad
    # In the box, below it, above it, beside it.
    places = [(2, 2)]
    if box is not None:
        left, top, right, bottom = box
        places = [(left, top), (left, bottom), (left, top - height),
                  (right, top), (left - width, top)]
    found = []
    for x, y in places:
        x = max(0, min(x, image.shape[1] - width))
        y = max(0, min(y, image.shape[0] - height))
        covered = sum(
            max(0, min(x + width, x2) - max(x, x1)) *
            max(0, min(y + height, y2) - max(y, y1))
            for x1, y1, x2, y2 in taken)
        found.append((covered, len(found), x, y))
    _, _, x, y = min(found)
    taken.append((x, y, x + width, y + height))
    # Bright on dark: seen on any picture.
    image[y:y + height, x:x + width] //= 3
    for i, line in enumerate(lines, 1):
        cv2.putText(image, line, (x + pad, y + step * i - pad), 0, size,
                    color, 1, cv2.LINE_AA)


class TimeLine:
    """Scores of a stream over time, for a plot."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self._seen: dict[str, dict] = defaultdict(dict)

    def add(self, step: Any) -> None:
        """Take a clip; of several persons the highest score counts."""
        for x in split_scores(step):
            times = self._seen[x.task]
            key = x.start, x.end
            times[key] = np.maximum(times[key], x.scores) \
                if key in times else x.scores

    def plot(self, out_file: str, num: int = 5, title: str = '') -> None:
        """Plot the classes that are highest at any time, a line a class.

        At most ``num`` of each task; the ending of ``out_file`` says the
        format.
        """
        # A library must not touch pyplot's backend.
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 1 + 2.4 * max(len(self._seen), 1)),
                        layout='constrained')
        figure.suptitle(title)
        plots = figure.subplots(
            max(len(self._seen), 1), sharex=True, squeeze=False)[:, 0]
        for axes, (task, times) in zip(plots, self._seen.items()):
            self._plot_task(axes, task, times, num)
        plots[-1].set_xlabel('seconds')
        figure.savefig(out_file, dpi=150)

    def _plot_task(self, axes, task: str, times: dict, num: int) -> None:
        spans = sorted(times)
        scores = np.stack([times[span] for span in spans])
        # First those that win for longest, then those that come close.
        wins = np.bincount(scores.argmax(1), minlength=scores.shape[1])
        order = np.lexsort((-scores.max(0), -wins))[:num]
        for label in order.tolist():
            # Nothing is said where clips leave out time.
            x, y = [], []
            for (start, end), value in zip(spans, scores[:, label]):
                if x and start > x[-1] + 1e-6:
                    x.append(start)
                    y.append(np.nan)
                x += [start, end]
                y += [value, value]
            axes.plot(x, y, label=name_of(self.names, task, label))
        axes.set_ylabel(f'{task} score'.strip())
        axes.grid(alpha=0.3)
        axes.legend(loc='upper left', bbox_to_anchor=(1, 1), fontsize=8)
