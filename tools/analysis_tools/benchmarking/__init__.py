# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What the tools that measure models share."""
from collections.abc import Sequence


def markdown(header: Sequence[str], *rows: Sequence[str]) -> str:
    """A table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    lines = [header, ['-' * w for w in widths], *rows]
    return '\n'.join('| ' + ' | '.join(
        cell.ljust(w) for cell, w in zip(line, widths)) + ' |'
                     for line in lines)
