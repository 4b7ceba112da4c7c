# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What data loader workers that live on over epochs must be told."""
import copy

import torch

from ..messages import warn


def _shared(tensor: torch.Tensor) -> torch.Tensor:
    try:
        return tensor.share_memory_()
    except (RuntimeError, OSError) as e:
        warn(f'No shared memory ({e}): persistent data loader workers do not '
             'learn the epoch, and failures that they meet are not counted. '
             'Remedy: give the container more of it, such as '
             '"docker run --shm-size=8g"')
        return tensor


class SharedState:
    """What a dataset and its workers that live on over epochs tell each other.

    Epoch, seed and failures by video, in shared memory.
    """

    def __init__(self, num_videos: int, seed: int = 0) -> None:
        # Epoch, seed, whether the epoch is told, whether its lack is told.
        self.numbers = _shared(torch.tensor([0, seed, 0, 0]))
        self.failures = _shared(torch.zeros(num_videos, dtype=torch.int32))

    epoch = property(lambda self: int(self.numbers[0]))
    seed = property(lambda self: int(self.numbers[1]))

    def __deepcopy__(self, memo: dict) -> 'SharedState':
        # A copied tensor would no longer be shared.
        memo[id(self)] = other = copy.copy(self)
        other.numbers = _shared(self.numbers.clone())
        other.failures = _shared(self.failures.clone())
        return other
