# Copyright (c) mmaction_memvit contributors. All rights reserved.
import random
from typing import Optional

import numpy as np
import torch
from mmaction.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class StepSeedHook(Hook):
    """Seeds the random numbers of every training step by its number.

    Dropout, stochastic depth and blending draw from the generators of the
    process. MMEngine seeds these once; from then on every draw counts, also
    that of each new data loader iterator, which validation makes, too. So
    training would go on differently after a validation or when it is resumed.
    With this hook a step's draws depend on the run's seed, the step and the
    rank alone. Resumed inside an epoch a run differs all the same: streams
    start with an empty memory.

    Random transforms of persistent data loader workers are not reached: use
    ``PerVideoAugment`` for draws that only depend on seed, epoch and video.
    """

    # Before anything of a step draws.
    priority = 'VERY_HIGH'

    @staticmethod
    def _seed(runner: Runner) -> None:
        sequence = np.random.SeedSequence(
            [runner.seed % 2**32, runner.iter, get_rank()])
        seed = int(sequence.generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed what is drawn for the first batch in this process."""
        self._seed(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: Optional[dict] = None) -> None:
        """Seed what is drawn in the step."""
        self._seed(runner)
