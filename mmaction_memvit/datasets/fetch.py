# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""How samples are fetched, the same in whatever worker and order."""
import copy
from typing import Any, Optional

import numpy as np
import torch
from mmaction.datasets.base import BaseActionDataset
from mmengine.dataset import force_full_init
from torch.utils.data import get_worker_info

from ..messages import first_names, warn
from ..video import VideoReadError
from .transforms.consistent import PerVideoAugment, seeded

# Mistakes in a config or in code; never a reason to go on with other videos.
_NOT_THE_VIDEO = (KeyError, TypeError, AttributeError, NameError, ImportError,
                  AssertionError, NotImplementedError)
# Counters of different workers do not share memory cells, so that none is
# lost without a lock, which could be neither copied nor pickled.
_NUM_SLOTS = 16


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
    """Epoch, seed and failures by video, in memory shared with workers.

    Workers that live on over epochs see nothing of what the main process
    changes on their dataset, and it nothing of what they do, but for this.
    """

    def __init__(self, num_videos: int, seed: int = 0) -> None:
        # Epoch, seed, whether the epoch is told, whether its lack is told.
        self._numbers = _shared(torch.tensor([0, seed, 0, 0]))
        self._failures = _shared(
            torch.zeros(_NUM_SLOTS, num_videos, dtype=torch.int32))

    epoch = property(lambda self: int(self._numbers[0]))
    seed = property(lambda self: int(self._numbers[1]))
    epoch_is_told = property(lambda self: bool(self._numbers[2]))

    def tell(self, epoch: int, seed: Optional[int]) -> None:
        """Sets the epoch, and the seed unless it is None."""
        self._numbers[0], self._numbers[2] = epoch, 1
        if seed is not None:
            self._numbers[1] = seed

    def first_warning(self) -> bool:
        """Whether nobody, in any worker, has asked this before."""
        first = not self._numbers[3]
        self._numbers[3] = 1
        return bool(first)

    def add_failure(self, video: int) -> bool:
        """Counts a failure of a video; says whether it is its first one."""
        worker = get_worker_info()
        slot = 0 if worker is None else 1 + worker.id % (_NUM_SLOTS - 1)
        first = not self._failures[:, video].any()
        self._failures[slot, video] += 1
        return bool(first)

    def failures(self) -> np.ndarray:
        """Failures of every video, of all workers, int64 (num_videos,)."""
        return self._failures.sum(0).numpy()

    def __deepcopy__(self, memo: dict) -> 'SharedState':
        # A copied tensor would no longer be shared.
        memo[id(self)] = other = copy.copy(self)
        other._numbers = _shared(self._numbers.clone())
        other._failures = _shared(self._failures.clone())
        return other


class FetchingDataset(BaseActionDataset):
    """The part of ``StreamDataset`` that knows nothing of places in videos.

    A sample that cannot be read in training is reported once for its video
    and another one, chosen by seed, epoch and index alone, takes its place;
    :meth:`failure_counts` tells how often. In test mode it is an error. What
    transforms draw in training depends on seed, epoch and index alone, if
    someone tells the epoch, as ``StreamBatchSampler`` does; else, with
    MMAction2's samplers, on the generators of the process, as usual. Samples
    of one video must then not have to agree: where they do, see
    :attr:`batch_sampler`, a warning says once that they are augmented alike
    in all epochs.
    """

    #: What a sample is called in messages.
    sample_kind: str = 'clip'
    #: Type of the batch sampler that training needs: it tells the epoch, on
    #: which samples of a video must agree. 'StreamBatchSampler' for places in
    #: streams; None for samples that have nothing to do with each other.
    batch_sampler: Optional[str] = 'StreamBatchSampler'

    def __init__(self, ann_file: str, seed: int = 0, **kwargs) -> None:
        #: dict[str, np.ndarray]: Arrays with one entry a sample; ``video`` is
        #: the number of its video, ``position`` its place there.
        self.samples: dict[str, np.ndarray] = {}
        self._set_videos([], seed)
        super().__init__(ann_file, **kwargs)

    def _set_videos(self, video_ids: list[str], seed: int) -> None:
        self._video_ids = video_ids
        self._state = SharedState(len(video_ids), seed)

    def describe_sample(self, info: dict) -> str:
        """The place of a sample in its video, for error messages."""
        if 'frame_inds' not in info:
            return f"position {info['timestamp']}" if self._is_stream else (
                'its frames')
        frames = np.asarray(info['frame_inds']).ravel()
        return f'frames {int(frames[0])} to {int(frames[-1])}'

    @property
    def epoch(self) -> int:
        """The epoch set last, in this process or in the one that loads."""
        return self._state.epoch

    def set_epoch(self, epoch: int, seed: Optional[int] = None) -> None:
        """Tells the epoch, from 0, also to data loader workers that live on.

        ``seed`` replaces that of the data set; None lets it stay.
        """
        self._state.tell(epoch, seed)

    @property
    def _is_stream(self) -> bool:
        return self.batch_sampler == 'StreamBatchSampler'

    @property
    def _epoch_is_missing(self) -> bool:
        return not self.test_mode and not self._state.epoch_is_told

    def draws_by_epoch(self) -> bool:
        """Whether something is drawn once an epoch, for several samples."""
        return any(
            isinstance(x, PerVideoAugment) for x in self.pipeline.transforms)

    @force_full_init
    def failure_counts(self) -> dict[str, int]:
        """How often a video could not be read, by ``video_id``.

        Counts of all workers since the start, also while they live; videos
        without failures are not in it.
        """
        counts = self._state.failures()
        return {self._video_ids[i]: int(counts[i])
                for i in counts.nonzero()[0]}

    def prepare_data(self, idx: int) -> Any:
        """Runs the pipeline for a sample.

        A video that cannot be read gives None in training, and in test mode a
        VideoReadError.
        """
        return self.run_pipeline(
            self.get_data_info(idx), int(self.samples['video'][idx]), idx)

    def run_pipeline(self, info: dict, video: int, *draw: int) -> Any:
        """Runs the pipeline for a clip of a video, see :meth:`prepare_data`.

        What transforms draw in training depends on seed, epoch and ``draw``.
        """
        if (self._epoch_is_missing and self.batch_sampler is not None
                and self.draws_by_epoch() and self._state.first_warning()):
            warn(f'{type(self).__name__}: nobody tells the epoch, so what is '
                 'drawn once an epoch, by PerVideoAugment or otherwise, is '
                 'the same in all epochs. Remedy: in train_dataloader, '
                 f'batch_sampler=dict(type={self.batch_sampler!r}); or call '
                 'set_epoch(epoch) before every epoch')
        try:
            # Draws of an epoch that never ends would be the same for ever.
            if self.test_mode or self._epoch_is_missing:
                return self.pipeline(info)
            # A sample's draws depend on seed, epoch and sample alone, not on
            # how many workers there are nor on what they drew before.
            with seeded(info['aug_seed'], info['epoch'], *draw):
                return self.pipeline(info)
        except _NOT_THE_VIDEO:
            raise
        except Exception as e:
            # Once there are images it is no longer the video's fault.
            if 'imgs' in info:
                raise
            self._report_failure(info, video, e)
        return None

    def _report_failure(self, info: dict, video: int, e: Exception) -> None:
        name = info.get('filename', info.get('frame_dir'))
        why = (str(e).strip().splitlines() or [''])[0]
        what = (f'video {name!r}: {self.describe_sample(info)} cannot be read '
                f'({type(e).__name__}: {why})')
        if self.test_mode:
            cut = '' if self.use_frames else (
                f'; or, if it is cut off, {self.build_command()}, so that '
                'only what can be read is used')
            raise VideoReadError(
                f'{what}. Remedy: replace the file; or take it out of '
                f'{self.ann_file!r}{cut}') from e
        if self._state.add_failure(video):
            stream = ', and its stream starts anew' if self._is_stream else ''
            warn(f'{what}. Another {self.sample_kind} takes its place{stream}.'
                 ' Told once for a video; see failure_counts() for more')

    def __getitem__(self, idx: int) -> Any:
        """Loads a sample, in training another one if it cannot be read."""
        if not self._fully_initialized or self.test_mode:
            return super().__getitem__(idx)
        chosen = idx
        for attempt in range(self.max_refetch + 1):
            data = self.prepare_data(chosen)
            if data is not None:
                return data
            # Not the global generator: which worker meets the failure must
            # not decide what is trained on.
            parts = (self._state.seed, self.epoch, idx, attempt)
            rng = np.random.default_rng([p % 2**32 for p in parts])
            chosen = int(rng.integers(len(self)))
        counts = self.failure_counts()
        raise RuntimeError(
            f'sample {idx} and {self.max_refetch} replacements in a row gave '
            f'nothing; {len(counts)} videos could not be read in this '
            f'training: {first_names(counts)}. Remedy: see the warnings '
            'about these videos; if they are in order, look for a transform '
            'that returns None')
