# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Lanes x time: what a batch of streams shows at every step."""
from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..messages import text_table


class LaneTable(NamedTuple):
    """What the L lanes of one process show at S steps, arrays (L, S).

    ``videos`` (their numbers) and ``positions`` in them are -1 where a lane
    has run out; ``starts`` is True where a clip does not continue a stream and
    memory starts anew.
    """
    videos: np.ndarray
    positions: np.ndarray
    starts: np.ndarray


def tabulate_lanes(batches: Sequence[Sequence[int]], videos: np.ndarray,
                   positions: np.ndarray, num_lanes: int,
                   max_gap: int = 1) -> LaneTable:
    """Lay the batches of one process out as lanes x steps.

    A clip counts as continuing a stream under the memory bank's rule: the last
    clip seen of its video lies at most ``max_gap`` positions before it.
    ``batches`` are S lists of at most ``num_lanes`` data set indices, whose
    ``videos`` (numbers) and ``positions`` there are of shape (N, ).
    """
    table = np.full((3, num_lanes, len(batches)), -1, np.int64)
    table[2] = 0
    last_seen: dict[int, int] = {}
    for step, batch in enumerate(batches):
        batch = np.asarray(batch, np.int64)
        seen = []
        for lane, (video, position) in enumerate(
                zip(videos[batch].tolist(), positions[batch].tolist())):
            last = last_seen.get(video)
            starts = last is None or not 0 < position - last <= max_gap
            table[:, lane, step] = video, position, starts
            seen.append((video, position))
        # After the batch, as a model reads all memories before it writes one.
        last_seen.update(seen)
    return LaneTable(table[0], table[1], table[2].astype(bool))


def shorten_names(names: Sequence[str], width: int = 12) -> list[str]:
    """Shorten video ids to at most ``width`` characters, keeping them apart.

    Folders and file extensions go first, if the rest still tells the videos
    apart, then the middle of what is too long. ``width`` is at least 8.
    """
    names = [str(name) for name in names]
    for simplify in (os.path.basename, lambda name: os.path.splitext(name)[0]):
        simpler = [simplify(name) for name in names]
        if all(simpler) and len(set(simpler)) == len(set(names)):
            names = simpler
    head = (width - 2) // 2
    short = [name if len(name) <= width
             else f'{name[:head]}..{name[head + 2 - width:]}'
             for name in names]
    taken: set[str] = set()
    for i, name in enumerate(short):
        if name in taken:
            number = f'~{i}'
            name = name[:width - len(number)] + number
        taken.add(name)
        short[i] = name
    return short


def format_lanes(table: LaneTable, names: Sequence[str], titles: Sequence[str],
                 first_step: int = 0, num_steps: int = 12) -> str:
    """Format lanes x steps as text, a line a lane under the step numbers.

    ``*name:position`` is a clip at which memory starts anew; the clips that
    continue it show their position only, ``-`` is a lane that has run out.

    ``names`` are of every video, ``titles`` of every lane; at most
    ``num_steps`` are shown from ``first_step`` on.
    """
    steps = range(first_step,
                  min(first_step + num_steps, table.videos.shape[1]))
    rows = [['', *steps]]
    for lane, title in enumerate(titles):
        row = [title]
        for step in steps:
            video = table.videos[lane, step]
            position = table.positions[lane, step]
            start = table.starts[lane, step]
            # The first column says the name too, or its video would be
            # anyone's guess.
            mark = '*' if start else ' '
            if video < 0:
                row.append(' -')
            elif start or step == first_step:
                row.append(f'{mark}{names[video]}:{position}')
            else:
                row.append(f'{mark}:{position}')
        rows.append(row)
    return text_table(rows, left=range(len(rows[0])))


def draw_lanes(table: LaneTable, names: Sequence[str], titles: Sequence[str],
               out_file: str, first_step: int = 0,
               num_steps: int | None = None) -> None:
    """Draw lanes x time, one colour per video, and save the picture.

    Arguments are those of :func:`format_lanes`, and ``out_file``, whose ending
    tells the format; names stand where there is room, and all steps are drawn
    if ``num_steps`` is None.
    """
    # The object interface leaves pyplot's global state and backend alone.
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    last_step = table.videos.shape[1]
    if num_steps is not None:
        last_step = min(first_step + num_steps, last_step)
    steps, num_lanes = last_step - first_step, len(titles)
    figure = Figure(
        figsize=(10, min(1.2 + 0.32 * num_lanes, 40)), layout='constrained')
    axes = figure.add_subplot()
    colours = colormaps['tab20'].colors
    # About 150 characters fit the width of the axes at this font size.
    characters_per_step = 150 / max(steps, 1)
    for lane in range(num_lanes):
        videos = table.videos[lane, first_step:last_step]
        starts = table.starts[lane, first_step:last_step].copy()
        starts[1:] |= np.diff(videos) != 0
        starts[:1] = True
        begins = np.flatnonzero(starts)
        for begin, end in zip(begins, [*begins[1:], steps]):
            video = videos[begin]
            if video < 0:
                continue
            axes.barh(lane, end - begin, left=first_step + begin, height=0.86,
                      color=colours[video % len(colours)], alpha=0.7,
                      edgecolor='white', linewidth=0.8)
            room = (end - begin) * characters_per_step
            if room >= len(names[video]) + 1:
                axes.text(first_step + (begin + end) / 2, lane, names[video],
                          ha='center', va='center', fontsize=7)
            if table.starts[lane, first_step + begin]:
                axes.plot([first_step + begin] * 2, [lane - .43, lane + .43],
                          color='black', linewidth=1.6, solid_capstyle='butt')
    axes.set_yticks(range(num_lanes), titles, fontsize=8)
    axes.set_ylim(num_lanes - 0.5, -0.5)
    axes.set_xlim(first_step, max(last_step, first_step + 1))
    axes.set_xlabel('step (a black bar: memory starts anew)')
    figure.savefig(out_file, dpi=150)
