# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Tables and plots of boards."""
import math
from collections.abc import Sequence

import pandas as pd

from . import markdown

# Key of a result, head of the column, how it is written.
COLUMNS = (
    ('name', 'model', '{}'),
    ('accuracy', '{metric}', '{:.4g}'),
    ('params_m', 'parameters, M', '{:.4g}'),
    ('gmacs_clip', 'GMACs a clip', '{:.4g}'),
    ('gmacs_video', 'GMACs a video', '{:.4g}'),
    ('seconds_clip', 's a clip (batch 1)', '{:.3g}'),
    ('clips_per_second', 'clips/s (batch {batch})', '{:.3g}'),
    ('ratio', 'x the first', '{:.3g}'),
    ('train_clips_per_second', 'training clips/s', '{:.3g}'),
    ('peak_mib', 'peak MiB', '{:.4g}'),
    ('train_peak_mib', 'training peak MiB', '{:.4g}'),
    ('context', 'context, s', '{:.4g}'),
    ('used_context', 'used, s', '{:.4g}'),
    ('train_minutes', 'training, CPU min', '{:.3g}'),
)


def table_of(results: Sequence[dict], metric: str,
             batch_size: int) -> pd.DataFrame:
    """Results as numbers, a line a model; empty columns are left out."""
    heads = {key: head.format(metric=metric, batch=batch_size)
             for key, head, _ in COLUMNS}
    frame = pd.DataFrame(
        [{heads[k]: x.get(k) for k in heads} for x in results])
    for key in dict.fromkeys(k for x in results for k in x['published']):
        frame[f'published {key}'] = [x['published'].get(key) for x in results]
    if any(x['source'] for x in results):
        frame['source'] = [x['source'] for x in results]
    if any(x.get('error') for x in results):
        frame['error'] = [x.get('error') for x in results]
    keep = frame.notna().any()
    keep[heads['accuracy']] = True
    return frame.loc[:, keep]


def markdown_of(frame: pd.DataFrame, metric: str, batch_size: int) -> str:
    """The table to read; what failed stands below it."""
    forms = {head.format(metric=metric, batch=batch_size): form
             for _, head, form in COLUMNS}
    errors = frame.get('error')
    shown = frame.drop(columns='error', errors='ignore')

    def cell(head: str, value: object) -> str:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ''
        form = forms.get(head, '{:g}' if isinstance(value, float) else '{}')
        return form.format(value)

    rows = [[cell(*x) for x in zip(shown, line)]
            for line in shown.itertuples(index=False)]
    text = markdown(list(shown), *rows)
    if errors is not None:
        for name, error in zip(frame['model'], errors):
            if isinstance(error, str):
                text += f'\n\n{name} failed: {error}'
    return text


def clips_note(results: Sequence[dict]) -> str:
    """A sentence: what clips the costs are of."""
    names: dict[str, list[str]] = {}
    for x in results:
        if x.get('clip'):
            names.setdefault(x['clip'], []).append(x['name'])
    told = [clip + f' ({", ".join(map(repr, own))})' * (len(names) > 1)
            for clip, own in names.items()]
    return f'Costs are of clips of {"; ".join(told)}.' * bool(told)


def pareto(points: Sequence[tuple]) -> list[int]:
    """Which (x, y) no other has more y of for at most as much x, by x."""
    front, best = [], -math.inf
    for i in sorted(range(len(points)),
                    key=lambda i: (points[i][0], -points[i][1])):
        if points[i][1] > best:
            front.append(i)
            best = points[i][1]
    return front


def percent(share: float) -> float:
    """Of a share; papers give percent."""
    return 100 * share if share <= 1 else share


def plot(results: Sequence[dict], title: str, metric: str,
         chance: object, path: str) -> None:
    """Accuracy in percent by multiply-adds and by seconds of context.

    Of a model without accuracy the first published number is drawn, hollow.
    """
    # A library must not touch pyplot's backend.
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    colors = colormaps['tab20'].colors
    figure = Figure(figsize=(11, 4.6), layout='constrained')
    every = figure.subplots(1, 2, sharey=True)
    for axes, key, label in zip(
            every, ('gmacs_video', 'context'),
            ('GMACs a video', 'seconds of video within reach')):
        points = []
        for i, x in enumerate(results):
            published = [v for v in x['published'].values()
                         if isinstance(v, (int, float))]
            own = x.get('accuracy') is not None
            y = x['accuracy'] if own else next(iter(published), None)
            if y is None or not math.isfinite(x.get(key) or math.inf):
                continue
            points.append((x[key], percent(y)))
            axes.scatter(*points[-1], s=60, marker='os^D'[i % 4], zorder=3,
                         edgecolors=[colors[i % 20]],
                         facecolors=[colors[i % 20]] if own else 'none',
                         label=x['name'])
        front = [points[i] for i in pareto(points)]
        if front:
            axes.plot(*zip(*front), color='grey', drawstyle='steps-post',
                      label='Pareto front')
        if chance is not None:
            axes.axhline(percent(chance), color='grey', linestyle=':',
                         label='chance')
        axes.set_xscale('log')
        axes.set_xlabel(label)
        axes.grid(alpha=0.3, which='both')
    every[0].set_ylabel(f'{metric}, %')
    handles = dict(zip(*reversed(every[0].get_legend_handles_labels())))
    handles.update(zip(*reversed(every[1].get_legend_handles_labels())))
    figure.legend(handles.values(), handles.keys(), loc='outside right upper')
    figure.suptitle(title)
    figure.savefig(path, dpi=100)
