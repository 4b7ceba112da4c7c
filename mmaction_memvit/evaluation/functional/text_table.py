# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Tables for the log."""
from collections.abc import Collection, Sequence


def text_table(rows: Sequence[Sequence[str]],
               left: Collection[int] = (0, )) -> str:
    """Aligns cells.

    Args:
        rows (Sequence[Sequence[str]]): Rows of equal length, heads included.
        left (Collection[int]): Columns that are aligned to the left. Defaults
            to the first.

    Returns:
        str: A line a row.
    """
    widths = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join(
        '  '.join(cell.ljust(width) if k in left else cell.rjust(width)
                  for k, (cell, width) in enumerate(zip(row, widths))).rstrip()
        for row in rows)


def format_share(share: float) -> str:
    """Four digits of a share, '-' for none."""
    return '-' if share != share else f'{share:.4f}'
