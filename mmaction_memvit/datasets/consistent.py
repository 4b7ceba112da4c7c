# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""One random augmentation for all clips of a video."""
from collections.abc import Sequence
from typing import Optional

from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose

from .stream import seeded


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

    #: Data sets look whether somebody tells the epoch.
    draws_by_epoch = True

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
