# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""One random augmentation for all clips of a video."""
import hashlib
import random
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Optional, Union

import numpy as np
import torch
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose


@contextmanager
def seeded(*parts: Union[int, str]):
    """Seeds Python's, NumPy's and PyTorch's CPU generator for a while."""
    # hash() differs between the processes of the workers, this does not.
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    seed = int.from_bytes(digest, 'little')
    states = (random.getstate(), np.random.get_state(),
              torch.default_generator.get_state())
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)
        # torch.manual_seed would reseed the GPU's generators as well.
        torch.default_generator.manual_seed(seed % 2**63)
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.default_generator.set_state(states[2])


@TRANSFORMS.register_module()
class PerVideoAugment(BaseTransform):
    """Runs random transforms with one draw per video and epoch.

    All clips of a video get the same crop, flip and so on, as memory compares
    them, and another one in the next epoch. Random transforms that stand
    outside this wrapper draw anew for every clip. The random numbers of the
    transforms inside do not depend on, nor touch, the global generators.

    The data set must know the epoch, which ``StreamBatchSampler`` and
    ``DistinctVideoBatchSampler`` tell it. With other samplers, data sets
    whose samples have nothing to do with each other give ``epoch=None``; the
    others warn.

    Required are ``video_id`` and ``epoch`` (None: every call draws anew, as
    without this wrapper) and what the wrapped transforms require.

    Args:
        transforms (Sequence[dict | Callable]): The transforms, which draw by
            ``random``, ``numpy.random`` or PyTorch's CPU generator, as
            MMAction2's do. The images of a video must have one size.
        seed (int, optional): Seed of the draws. Defaults to None: the
            ``aug_seed`` of the sample, which the dataset gives, else 0.
    """

    def __init__(self, transforms: Sequence,
                 seed: Optional[int] = None) -> None:
        self.transforms = Compose(transforms)
        self.seed = seed

    def transform(self, results: dict) -> Optional[dict]:
        """Runs the transforms with the video's own random numbers."""
        for key in ('video_id', 'epoch'):
            if key not in results:
                raise KeyError(
                    f'PerVideoAugment needs results[{key!r}]. Remedy: use a '
                    'dataset that gives it, such as OnlineVideoDataset')
        if results['epoch'] is None:
            return self.transforms(results)
        seed = self.seed
        if seed is None:
            seed = results.get('aug_seed', 0)
        with seeded(int(seed), int(results['epoch']), results['video_id']):
            return self.transforms(results)

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(transforms={self.transforms}, '
                f'seed={self.seed})')
