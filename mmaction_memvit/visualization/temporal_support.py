# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""How far back clips still change the scores: a table and a plot."""
from __future__ import annotations

import math
from collections.abc import Mapping

from ..evaluation.functional.temporal_support import (
    THRESHOLD,
    TemporalSupport,
)


def support_rows(models: Mapping[str, TemporalSupport],
                 threshold: float = THRESHOLD) -> list[tuple[str, ...]]:
    """Rows of a table, the head first: a line an age, then the supports.

    ``models`` by their names; for ``threshold`` see
    :meth:`TemporalSupport.used`.
    """
    rows = [('age', 'clips', *models)]
    results = list(models.values())
    for age in range(max(len(x.changes) for x in results)):
        cells = [f'{x.changes[age]:.2g} ({x.relative[age]:.1%})'
                 if age < len(x.changes) and x.counts[age] else '-'
                 for x in results]
        rows.append((str(age), str(max(
            x.counts[age] for x in results if age < len(x.counts))), *cells))
    rows.append(('used support', f'> {threshold:.0%}',
                 *(_used(x, threshold) for x in results)))
    rows.append(('theoretical support', 'M x L',
                 *(_clips(x.theoretical) for x in results)))
    rows.append(
        ('nothing replaced', '', *(f'{x.control:.2g}' for x in results)))
    return rows


def _used(result: TemporalSupport, threshold: float) -> str:
    used = result.used(threshold)
    # What is not looked at may be used, too.
    end = used and used == result.counts.nonzero()[0][-1]
    more = end and not used >= result.theoretical
    return f'{used} or more' if more else str(used)


def _clips(number: float) -> str:
    return '-' if math.isnan(number) else (
        'no limit' if math.isinf(number) else f'{number:.0f}')


def plot_temporal_support(models: Mapping[str, TemporalSupport], out_file: str,
                          threshold: float = THRESHOLD,
                          title: str = '') -> None:
    """Plot changes by age in shares of age 0, a line a model.

    Below a tenth of the threshold the scale is linear and ends in 0. Dotted
    lines mark theoretical supports. The ending of ``out_file`` says the
    format.
    """
    # A library must not touch pyplot's backend.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), layout='constrained')
    axes = figure.add_subplot()
    for (name, result), marker in zip(models.items(), 'osD^v<>' * len(models)):
        line, = axes.plot(100 * result.relative, marker=marker, markersize=4,
                          clip_on=False,
                          label=f'{name}: used {_used(result, threshold)}')
        if 0 < result.theoretical < len(result.changes):
            axes.axvline(
                result.theoretical, color=line.get_color(), linestyle=':')
    axes.axhline(100 * threshold, color='grey', linestyle='--',
                 label=f'used: above {threshold:.0%}')
    axes.set_yscale('symlog', linthresh=10 * threshold)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel('age of the replaced clip, in clips')
    axes.set_ylabel('change of the scores, % of age 0')
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(loc='best')
    figure.savefig(out_file, dpi=150)
