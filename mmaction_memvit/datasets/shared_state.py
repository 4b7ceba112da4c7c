# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What the main process and data loader workers tell each other."""
import copy

import numpy as np
import torch
from torch.utils.data import get_worker_info

from .source import tell

# Counters of different workers do not share memory cells, so that none is
# lost without a lock, which could be neither copied nor pickled.
_NUM_SLOTS = 16


def _shared(tensor: torch.Tensor) -> torch.Tensor:
    try:
        return tensor.share_memory_()
    except (RuntimeError, OSError) as e:
        tell(f'No shared memory ({e}): persistent data loader workers do not '
             'learn the epoch, and failures that they meet are not counted. '
             'Remedy: give the container more of it, such as '
             '"docker run --shm-size=8g"')
        return tensor


class SharedState:
    """Epoch, seed and failures by video, in memory shared with workers.

    Workers that live on over epochs see nothing of what the main process
    changes on their dataset, and it nothing of what they do, but for this.

    Args:
        num_videos (int): Number of videos.
        seed (int): The seed. Defaults to 0.
    """

    def __init__(self, num_videos: int, seed: int = 0) -> None:
        self._numbers = _shared(
            torch.tensor([0, seed, 0, 0], dtype=torch.int64))
        self._failures = _shared(
            torch.zeros(_NUM_SLOTS, num_videos, dtype=torch.int32))

    @property
    def epoch(self) -> int:
        """Number of the current epoch."""
        return int(self._numbers[0])

    @epoch.setter
    def epoch(self, value: int) -> None:
        self._numbers[0] = int(value)
        self._numbers[2] = 1

    @property
    def epoch_is_told(self) -> bool:
        """Whether anybody tells the epoch."""
        return bool(self._numbers[2])

    def first_warning(self) -> bool:
        """Whether nobody, in any worker, has asked this before."""
        first = not self._numbers[3]
        self._numbers[3] = 1
        return bool(first)

    @property
    def seed(self) -> int:
        """Seed of all that is drawn by epoch."""
        return int(self._numbers[1])

    @seed.setter
    def seed(self, value: int) -> None:
        self._numbers[1] = int(value)

    def add_failure(self, video: int) -> bool:
        """Counts a failure.

        Args:
            video (int): Number of the video.

        Returns:
            bool: Whether it is the first one of this video.
        """
        worker = get_worker_info()
        slot = 0 if worker is None else 1 + worker.id % (_NUM_SLOTS - 1)
        first = not self._failures[:, video].any()
        self._failures[slot, video] += 1
        return bool(first)

    def failures(self) -> np.ndarray:
        """Failures of every video, of all workers together.

        Returns:
            np.ndarray: int64 of shape (num_videos,).
        """
        return self._failures.sum(0).numpy()

    def __deepcopy__(self, memo: dict) -> 'SharedState':
        # A copied tensor would no longer be shared.
        other = copy.copy(self)
        other._numbers = _shared(self._numbers.clone())
        other._failures = _shared(self._failures.clone())
        memo[id(self)] = other
        return other
