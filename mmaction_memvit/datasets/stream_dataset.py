# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What all datasets of video streams share."""
import copy
import logging
import os.path as osp
from collections.abc import Sequence
from typing import Any, Callable, Optional, Union

import numpy as np
from mmaction.datasets.base import BaseActionDataset
from mmengine.dataset import BaseDataset, force_full_init
from mmengine.logging import print_log
from mmengine.utils import is_abs

from ..video import VideoReadError
from ..video.index import first_names
from .shared_state import SharedState
from .source_options import check_choice
from .transforms.consistent import PerVideoAugment, seeded
from .video_files import VideoFiles

# Mistakes in a config or in code; never a reason to go on with other videos.
_NOT_THE_VIDEO = (KeyError, TypeError, AttributeError, NameError, ImportError,
                  AssertionError, NotImplementedError)


class StreamDataset(BaseActionDataset):
    """Base of datasets whose samples are places in videos, in order.

    A sample is a clip or keyframe; ``(video_id, position)`` tells which, so
    that ``StreamBatchSampler`` and the memory bank can follow the video. The
    data list of MMEngine holds videos, not samples; of samples there are
    only arrays of numbers, which data loader workers share.

    A sample that cannot be read in training is reported once for its video
    and another one, chosen by seed, epoch and index alone, takes its place;
    :meth:`failure_counts` tells how often. In test mode it is an error. What
    transforms draw in training depends on seed, epoch and index alone, if
    someone tells the epoch, as ``StreamBatchSampler`` does; else, with
    MMAction2's samplers, on the generators of the process, as usual. Samples
    of one video must then not have to agree: where they do, see
    :attr:`batch_sampler`, a warning says once that they are augmented alike
    in all epochs.

    A subclass writes :meth:`load_data_list`, which returns the videos after
    it called :meth:`set_samples`; :meth:`get_data_info`, which begins with
    :meth:`sample_info`; :meth:`build_command` and, if it likes,
    :meth:`describe_sample`. Further arrays with one entry a sample are named
    in :attr:`sample_arrays`; :attr:`sample_kind` and :attr:`batch_sampler`
    say what a sample is.

    Args:
        ann_file (str): Path of the annotations.
        pipeline (list[dict | Callable]): The transforms.
        data_prefix (dict, optional): Folders that the files are in. Defaults
            to None, which is ``dict(video='')``.
        index_file (str, optional): Frame counts of the videos. Defaults to
            None: the videos are read through at the start, every time.
        missing_video (str): What to do with videos that are not there or, by
            the index, cannot be read: ``'error'``, ``'skip'`` (leave them
            out, with a warning) or ``'unchecked'`` (do not look for them; a
            missing one fails when it is read). Defaults to ``'error'``.
        seed (int): Seed of replacement samples and of ``PerVideoAugment``.
            Defaults to 0.
        test_mode (bool): Whether videos that fail are an error. Defaults to
            False.
        max_refetch (int): In training, how many replacements in a row may
            fail before it is an error. Defaults to 20.
        **kwargs: Further arguments of MMAction2's ``BaseActionDataset``.

    Raises:
        ValueError: If ``missing_video`` is unknown.
    """

    #: Names of the attributes that are arrays with one entry a sample.
    sample_arrays: tuple[str, ...] = ('_clip_video', '_clip_position')
    #: What a sample is called in messages.
    sample_kind: str = 'clip'
    #: Type of the batch sampler that training needs: it tells the epoch, on
    #: which samples of a video must agree. 'StreamBatchSampler' for places in
    #: streams; None for samples that have nothing to do with each other.
    batch_sampler: Optional[str] = 'StreamBatchSampler'

    def __init__(self,
                 ann_file: str,
                 pipeline: list[Union[dict, Callable]],
                 data_prefix: Optional[dict] = None,
                 index_file: Optional[str] = None,
                 missing_video: str = 'error',
                 seed: int = 0,
                 test_mode: bool = False,
                 max_refetch: int = 20,
                 **kwargs) -> None:
        check_choice('missing_video', missing_video,
                     ('error', 'skip', 'unchecked'))
        self.index_file = index_file
        self.missing_video = missing_video
        for name in self.sample_arrays:
            setattr(self, name, np.zeros(0, dtype=np.int32))
        self._video_ids: list[str] = []
        self._state = SharedState(0, seed)
        prefix = {'video': ''} if data_prefix is None else dict(data_prefix)
        prefix = {k: '' if v is None else v for k, v in prefix.items()}
        super().__init__(
            ann_file,
            pipeline=pipeline,
            data_prefix=prefix,
            test_mode=test_mode,
            max_refetch=max_refetch,
            **kwargs)

    # -- for subclasses -----------------------------------------------------

    def build_command(self) -> str:
        """The command that writes the index, for error messages."""
        raise NotImplementedError(
            f'{type(self).__name__} must define build_command()')

    def describe_sample(self, info: dict) -> str:
        """The place of a sample in its video, for error messages."""
        if 'frame_inds' not in info:
            return f"position {info['timestamp']}" if self._is_stream else (
                'its frames')
        frames = np.asarray(info['frame_inds']).ravel()
        return f'frames {int(frames[0])} to {int(frames[-1])}'

    def video_files(self, **kwargs) -> VideoFiles:
        """What looks for the videos and counts their frames.

        Args:
            **kwargs: Further arguments of :class:`VideoFiles`.
        """
        prefix = ', '.join(f'{k}={v!r}' for k, v in self.data_prefix.items())
        return VideoFiles(self.ann_file, self.missing_video,
                          f'data_prefix=dict({prefix})', self.index_file,
                          self.build_command(), **kwargs)

    def set_samples(self, video_ids: Sequence[str], **arrays) -> None:
        """Sets the samples, once the videos are known.

        Args:
            video_ids (Sequence[str]): Names of the videos.
            **arrays (np.ndarray): The :attr:`sample_arrays`. ``_clip_video``
                is the number of the sample's video in ``video_ids``,
                ``_clip_position`` its position there.
        """
        if set(arrays) != set(self.sample_arrays):
            raise ValueError(f'set_samples() got {sorted(arrays)}, but must '
                             f'get {sorted(self.sample_arrays)}')
        for name, array in arrays.items():
            setattr(self, name, array)
        self._video_ids = list(video_ids)
        self._state = SharedState(len(self._video_ids), self._state.seed)

    def sample_info(self, idx: int) -> dict:
        """The keys that the samples of all streams have.

        Args:
            idx (int): Number of the sample, not negative.

        Returns:
            dict: ``video_id``, ``timestamp``, ``modality``, ``start_index``,
            ``sample_idx``, ``epoch`` and ``aug_seed``. ``epoch`` is None in
            training where nobody tells it and no :attr:`batch_sampler` is
            needed: every reading is then augmented anew.
        """
        alone = self.batch_sampler is None and self._epoch_is_missing
        return {
            'video_id': self._video_ids[self._clip_video[idx]],
            'timestamp': int(self._clip_position[idx]),
            'modality': self.modality,
            'start_index': self.start_index,
            'sample_idx': idx,
            'epoch': None if alone else self.epoch,
            'aug_seed': self._state.seed,
        }

    # -- loading ------------------------------------------------------------

    def _join_prefix(self) -> None:
        super()._join_prefix()
        self.index_file = self._join_root(self.index_file)

    def _join_root(self, path: Optional[str]) -> Optional[str]:
        if path and self.data_root and not is_abs(path):
            return osp.join(self.data_root, path)
        return path

    def full_init(self) -> None:
        """Loads the annotations and plans the samples."""
        if self._fully_initialized:
            return
        # BaseDataset would apply the indices to its data list, which holds
        # videos here.
        indices, self._indices = self._indices, None
        super().full_init()
        self._indices = indices
        if indices is not None:
            self.get_subset_(indices)

    # -- samples ------------------------------------------------------------

    @force_full_init
    def __len__(self) -> int:
        """Number of samples."""
        return len(self._clip_video)

    def get_video_info(self, video: int) -> dict:
        """What is known of a video.

        Args:
            video (int): Its number, in the order of :attr:`video_ids`.

        Returns:
            dict: See :meth:`load_data_list`.
        """
        return BaseDataset.get_data_info(self, video)

    @property
    @force_full_init
    def video_ids(self) -> list[str]:
        """Names of the videos, whether samples of them are used or not."""
        return list(self._video_ids)

    @force_full_init
    def stream_keys(self) -> list[tuple[str, int]]:
        """Video and position of every sample, without reading any video.

        Returns:
            list[tuple[str, int]]: ``(video_id, timestamp)`` by index.
        """
        names = self._video_ids
        return [(names[v], p) for v, p in zip(self._clip_video.tolist(),
                                              self._clip_position.tolist())]

    @force_full_init
    def get_subset_(self, indices: Union[Sequence[int], int]) -> None:
        """Keeps some of the samples only.

        Args:
            indices (int | Sequence[int]): Numbers of the samples to keep, or
                how many of the first (of the last, if negative).
        """
        keep = subset(indices)
        for name in self.sample_arrays:
            setattr(self, name, getattr(self, name)[keep])

    @force_full_init
    def get_subset(self, indices: Union[Sequence[int],
                                        int]) -> 'StreamDataset':
        """A copy with some of the samples only, see :meth:`get_subset_`."""
        subset = copy.deepcopy(self)
        subset.get_subset_(indices)
        return subset

    # -- epochs and failures ------------------------------------------------

    @property
    def epoch(self) -> int:
        """The epoch set last, in this process or in the one that loads."""
        return self._state.epoch

    def set_epoch(self, epoch: int, seed: Optional[int] = None) -> None:
        """Tells the epoch, also to data loader workers that live on.

        Args:
            epoch (int): Number of the epoch, from 0.
            seed (int, optional): What ``seed`` becomes. Defaults to None: it
                stays.
        """
        self._state.epoch = epoch
        if seed is not None:
            self._state.seed = seed

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

    def _warn_of_missing_epoch(self) -> None:
        if (self.batch_sampler is not None and self.draws_by_epoch()
                and self._state.first_warning()):
            print_log(
                f'{type(self).__name__}: nobody tells the epoch, so what is '
                'drawn once an epoch, by PerVideoAugment or otherwise, is the '
                'same in all epochs. Remedy: in train_dataloader, '
                f'batch_sampler=dict(type={self.batch_sampler!r}); or call '
                'set_epoch(epoch) before every epoch',
                logger='current',
                level=logging.WARNING)

    @force_full_init
    def failure_counts(self) -> dict[str, int]:
        """How often a video could not be read and a sample was replaced.

        Counts of all workers since the start, also while they live.

        Returns:
            dict[str, int]: Number of failures by ``video_id``, of the videos
            that have any.
        """
        counts = self._state.failures()
        return {
            self._video_ids[i]: int(counts[i])
            for i in counts.nonzero()[0]
        }

    def prepare_data(self, idx: int) -> Any:
        """Runs the pipeline for a sample.

        Args:
            idx (int): Number of the sample.

        Returns:
            Any: What the pipeline returns; None if, in training, the video
            cannot be read.

        Raises:
            VideoReadError: If, in test mode, the video cannot be read.
        """
        return self.run_pipeline(
            self.get_data_info(idx), int(self._clip_video[idx]), idx)

    def run_pipeline(self, info: dict, video: int, *draw: int) -> Any:
        """Runs the pipeline for a clip.

        Args:
            info (dict): What the pipeline gets.
            video (int): Number of the clip's video.
            *draw (int): What, beside seed and epoch, tells what transforms
                draw in training.

        Returns:
            Any: As :meth:`prepare_data`, and likewise errors.
        """
        name = info.get('filename', info.get('frame_dir'))
        if self._epoch_is_missing:
            self._warn_of_missing_epoch()
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
            what = (f'video {name!r}: {self.describe_sample(info)} cannot be '
                    f'read ({type(e).__name__}: {_first_line(e)})')
            if self.test_mode:
                raise VideoReadError(
                    f'{what}. Remedy: replace the file; or take it out of '
                    f'{self.ann_file!r}; or, if it is cut off, '
                    f'{self.build_command()}, so that only what can be read '
                    'is used') from e
        if self._state.add_failure(video):
            stream = ', and its stream starts anew' if self._is_stream else ''
            print_log(
                f'{what}. Another {self.sample_kind} takes its place{stream}. '
                'Told once for a video; see failure_counts() for more',
                logger='current',
                level=logging.WARNING)
        return None

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


def subset(indices: Union[Sequence[int], int]) -> Union[slice, np.ndarray]:
    """What ``get_subset_`` keeps, as an index of arrays.

    Args:
        indices (int | Sequence[int]): Numbers of the samples to keep, or how
            many of the first (of the last, if negative).
    """
    if isinstance(indices, int):
        return slice(indices) if indices >= 0 else slice(indices, None)
    return np.asarray(indices, dtype=np.int64)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else ''
