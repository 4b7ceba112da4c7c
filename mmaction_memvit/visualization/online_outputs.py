# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Files and a page of one run along a stream."""
from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Iterable

import pandas as pd

from mmaction_memvit.video.live import LiveSource, at_rate
from mmaction_memvit.video.write import VideoWriter

from .attention import AttentionPlot
from .live_page import LivePage
from .online import Names, TimeLine, best_rows, draw_rows
from .person_tracker import PersonTracker

#: What can be written, and what is added to the stem of its name.
OUTPUTS = dict(jsonl='.jsonl', csv='.csv', video='.mp4', plot='.png',
               attention='_attention.png')


def shown_from(step) -> float:
    """Seconds from which on a prediction is shown."""
    return step.start if step.keyframe is None else step.keyframe


def draw_file(path: str, writer: VideoWriter, fps: float,
              steps: Iterable[tuple[float, list]],
              end: float = float('inf')) -> None:
    """Write the pictures of a file, up to ``end``, with what is said of it.

    ``steps`` are in order: seconds, and the rows (see :func:`draw_rows`) that
    are shown from then on.
    """
    steps = iter(steps)
    now, later = [], next(steps, None)
    frames = at_rate(LiveSource(path), fps, float('inf'))
    for number, image in enumerate(frames):
        seconds = number / fps
        if seconds >= end:
            break
        while later and later[0] <= seconds:
            now, later = later[1], next(steps, None)
        writer.write(draw_rows(image, now, f'{seconds:.1f} s'))


class OnlineOutputs:
    """What one run writes and shows, as far as it is asked for.

    ``stem`` are paths without their endings, ``kinds`` some of ``OUTPUTS``,
    ``top`` the classes that are written of each task, token and person.
    """

    def __init__(self, stem: str, kinds: Collection[str], names: Names,
                 top: int, page: LivePage | None = None) -> None:
        self.stem, self.kinds = stem, kinds
        self.names, self.top, self.page = names, top, page
        self.rows: list[dict] = []
        # What is shown, from when on.
        self.steps: deque[tuple[float, list]] = deque()
        self.line = TimeLine(names)
        self.attention = AttentionPlot()
        self.tracker = PersonTracker()
        self.is_open = False
        self.jsonl = self.video = None

    def open(self, fps: float, live: bool) -> None:
        """Begin; ``live``: pictures are drawn as they come.

        Then the last clip is all that has to be kept.
        """
        self.is_open, self.fps = True, fps
        if live:
            self.steps = deque(maxlen=1)
        if 'jsonl' in self.kinds:
            self.jsonl = open(f'{self.stem}.jsonl', 'w', encoding='utf-8')
        if 'video' in self.kinds:
            self.video = VideoWriter(f'{self.stem}.mp4', fps)

    def add(self, step, told: str) -> str:
        """Take a clip, and how things stand; gives the line to be told."""
        persons = step.boxes if step.boxes is None else self.tracker(
            step.boxes)
        rows = best_rows(step, self.names, self.top, persons)
        self.steps.append((shown_from(step), rows))
        if self.page:
            self.page.add(step, rows, told)
        if 'attention' in self.kinds:
            self.attention.add(step)
        if self.jsonl:
            line = dict(step.to_dict(), persons=persons, best=[
                {k: x[k] for k in ('task', 'person', 'name', 'score')}
                for x in rows])
            if 'attention' in self.kinds:
                # Seconds ago, and share.
                line['attention'] = [[round(x, 3), round(y, 5)]
                                     for x, y in self.attention.now()]
            # Whoever follows the file sees it now.
            print(json.dumps(line), file=self.jsonl, flush=True)
        if 'csv' in self.kinds:
            self.rows += rows
        if 'plot' in self.kinds:
            self.line.add(step)
        told = ', '.join(f"{x['score']:.2f} {x['name']}"
                         for x in rows[:self.top])
        return f'{step.start:8.1f} - {step.end:.1f} s  {told or "nobody"}'

    def draw(self, image, seconds: float) -> None:
        """Show a picture of a stream, with the last that is known of it."""
        if self.video or self.page:
            rows = self.steps[-1][1] if self.steps else []
            image = draw_rows(image, rows, f'{seconds:.1f} s')
        if self.video:
            self.video.write(image)
        if self.page:
            self.page.show(image)

    def draw_file(self, path: str, end: float) -> None:
        """The video of a file whose clips are all known."""
        draw_file(path, self.video, self.fps, self.steps, end)

    def close(self) -> list[str]:
        """Write the rest; gives the paths."""
        if self.page:
            self.page.close()
        if not self.is_open:
            return []
        if self.jsonl:
            self.jsonl.close()
        if self.video:
            self.video.close()
        if 'csv' in self.kinds:
            pd.DataFrame(self.rows).to_csv(f'{self.stem}.csv', index=False)
        if 'plot' in self.kinds:
            self.line.plot(f'{self.stem}.png')
        if 'attention' in self.kinds:
            self.attention.plot(f'{self.stem}_attention.png')
        return [f'{self.stem}{OUTPUTS[x]}' for x in self.kinds]
