# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a model says along a stream: as rows, on pictures, over time."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

# Names of classes by task; '' where there is one only.
Names = Mapping[str, Mapping[int, str]]
_COLOR = (255, 170, 60)


class Scores(NamedTuple):
    """Scores of one task at one time, of one person if there are boxes.

    Args:
        task (str): ``'verb'`` and the like; ``''`` where there is one only.
        start (float): Seconds.
        end (float): Seconds.
        box (int, optional): Number of the box in its clip.
        scores (np.ndarray): (num_classes, ).
    """
    task: str
    start: float
    end: float
    box: int | None
    scores: np.ndarray

    def best(self, num: int) -> list[int]:
        """Classes of the highest scores, the best one first."""
        return np.argsort(-self.scores, kind='stable')[:num].tolist()


def split_scores(step: Any) -> Iterator[Scores]:
    """Scores of a ClipPrediction one by one: tasks, tokens, persons."""
    tasks = step.scores if isinstance(step.scores, dict) else {
        '': step.scores
    }
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


def best_rows(step: Any,
              names: Names,
              num: int,
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
            place = dict(
                person=persons[x.box] if persons else x.box + 1,
                **dict(zip(('x1', 'y1', 'x2', 'y2'), corners)))
        rows += [
            dict(
                clip=step.clip,
                start=round(x.start, 3),
                end=round(x.end, 3),
                task=x.task,
                **place,
                label=label,
                name=name_of(names, x.task, label),
                score=round(float(x.scores[label]), 4))
            for label in x.best(num)
        ]
    return rows


def draw_rows(image: np.ndarray, rows: Sequence[dict],
              title: str = '') -> np.ndarray:
    """Write rows of :func:`best_rows` on a copy of a picture (H, W, 3), RGB.

    Those with a box stand at it, the others in a corner, below the title. Fast
    enough for a live picture.
    """
    image = np.ascontiguousarray(image).copy()
    height, width = image.shape[:2]
    scale = max(min(height, width) / 480, 0.4)
    lines = defaultdict(int)
    places = [(None, title)] * bool(title)
    for row in rows:
        box = None
        if row['person'] is not None:
            box = tuple(row[k] for k in ('x1', 'y1', 'x2', 'y2'))
            if (box, who := f"person {row['person']}") not in places:
                places.append((box, who))
        places.append((box, f"{row['score']:.2f} {row['name']}"))
    for box, text in places:
        left, top = 4, 4
        if box is not None:
            left, top, right, bottom = (
                int(a * b) for a, b in zip(box, (width, height) * 2))
            cv2.rectangle(image, (left, top), (right, bottom), _COLOR,
                          max(1, round(2 * scale)))
        (_, line), _ = cv2.getTextSize(text, 0, 0.6 * scale, 1)
        lines[box] += 1
        place = left + 2, top + int(1.6 * line * lines[box])
        # Dark below bright: seen on any picture.
        for color, thick in (((0, 0, 0), 4), ((255, 255, 255), 1)):
            cv2.putText(image, text, place, 0, 0.6 * scale, color,
                        max(1, round(thick * scale)), cv2.LINE_AA)
    return image


class TimeLine:
    """Scores of a stream over time, for a plot.

    Args:
        names (Mapping): Names of classes by task and number.
    """

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
        # Drawn on a canvas of its own: a library must not touch pyplot's
        # backend.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(
            figsize=(9, 1 + 2.4 * max(len(self._seen), 1)),
            layout='constrained')
        FigureCanvasAgg(figure)
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
