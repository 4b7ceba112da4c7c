# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a data set and its workers tell each other."""
import copy

import torch

from ..messages import warn


class SharedState:
    """Epoch, seed and failures by video, in shared memory.

    So a data set and its workers that live on over epochs tell each other.
    """

    def __init__(self, num_videos: int, seed: int = 0) -> None:
        # Epoch, seed, whether the epoch is told, whether its lack is told.
        self.numbers = torch.tensor([0, seed, 0, 0])
        self.failures = torch.zeros(num_videos, dtype=torch.int32)
        self._share()

    epoch = property(lambda self: int(self.numbers[0]))
    seed = property(lambda self: int(self.numbers[1]))

    def _share(self) -> None:
        try:
            self.numbers.share_memory_()
            self.failures.share_memory_()
        except (RuntimeError, OSError) as e:
            warn(f'No shared memory ({e}): persistent data loader workers do '
                 'not learn the epoch, and failures that they meet are not '
                 'counted. Remedy: give the container more of it, such as '
                 '"docker run --shm-size=8g"')

    def __deepcopy__(self, memo: dict) -> 'SharedState':
        # A copied tensor would no longer be shared.
        memo[id(self)] = other = copy.copy(self)
        other.numbers = self.numbers.clone()
        other.failures = self.failures.clone()
        other._share()
        return other
