# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Families of twins: videos that differ in what is to be remembered only."""
from collections.abc import Sequence


def num_families(split: str, splits: Sequence[str], num_videos: int,
                 twins: int) -> int:
    """Families that a number of videos makes up.

    Args:
        split (str): Name of the split.
        splits (Sequence[str]): Names that there are.
        num_videos (int): Number of videos of the split.
        twins (int): Videos of a family, one for every answer.

    Returns:
        int: At least 1.

    Raises:
        ValueError: If the split is unknown or the videos are no positive
            multiple of ``twins``.
    """
    if split not in splits:
        raise ValueError(f'split={split!r} must be one of {tuple(splits)}')
    if num_videos < 1 or num_videos % twins:
        raise ValueError(
            f'{num_videos} {split} videos must be a positive multiple of '
            f'{twins}, because videos come in families of {twins} twins, one '
            f'for every answer; take {max(1, -(-num_videos // twins)) * twins}'
        )
    return num_videos // twins
