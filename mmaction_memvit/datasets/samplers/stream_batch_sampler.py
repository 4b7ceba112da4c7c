# Copyright (c) mmaction_memvit contributors. All rights reserved.
from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmaction.registry import DATA_SAMPLERS
from torch.utils.data import ConcatDataset, Sampler

from ...messages import check_no_more, check_whole, log, retire, warn
from .stream_plan import (
    Streams,
    can_split,
    check_enough_videos,
    count_train_steps,
    index_streams,
    limit_streams,
    plan_evaluation,
    plan_train_epoch,
)

# A larger share of repeated clips in training is worth a warning.
_MUCH_PADDING = 0.1
_REMEDY = ('Use OnlineVideoDataset or give your data set `stream_keys()`, a '
           'list of (video_id, position).')


@DATA_SAMPLERS.register_module()
class StreamBatchSampler(Sampler):
    """Batches in which position ``k`` always continues the same video.

    Models with memory need the clips of a video in order. This batch sampler
    runs ``world_size * batch_size`` lanes, each showing whole videos clip by
    clip, one video after the other. It goes into a data loader's config, above
    an unchanged ``DefaultSampler``, from which it takes the data set, the
    seed, the epoch and the place among the processes; its order is a pure
    function of these and of the batch size.

    In training the videos are dealt to the lanes, longest first, always to
    the lane with the fewest clips, and drawn anew every epoch. All ranks and
    all epochs have one number of steps. Every clip appears in every epoch,
    unless ``max_stream_len`` is set; a lane that runs out starts its first
    video again, and the share of such repeated clips is in the log.

    In evaluation every clip appears exactly once over all ranks. Lanes that
    run out drop out of the batch, so the last batches are smaller and ranks
    may have different numbers of steps.

    With ``unroll`` a batch holds K clips in a row of every lane, all lanes of
    the first step, then all of the next, for models that are trained through
    their memory (see docs/unrolled_training.md). Order and padding are those
    of K=1; the last batch of an epoch may have fewer steps.

    Args:
        sampler (DefaultSampler): The sampler to read ``dataset``, ``seed``,
            ``shuffle``, ``epoch``, ``rank`` and ``world_size`` from. Its own
            order is not used. The runner fills it in.
        batch_size (int): Number of lanes of one process. The runner fills
            it in.
        mode (str, optional): 'train' or 'eval'. None means 'train' if the
            sampler shuffles and 'eval' if not; give 'train' to train in a
            fixed order with ``shuffle=False``. Defaults to None.
        split_videos (bool): Training only. True lets a video that does not
            fit the end of a lane go on at the beginning of the next lane,
            where its memory starts anew, so that lanes differ by at most one
            clip. At most one video per lane is split. Without effect while a
            video is longer than the clips of a lane. Defaults to False.
        max_stream_len (int, optional): Training only. Most clips that an
            epoch shows of one video. Longer videos are cut into pieces of so
            many clips, of which each epoch shows the next one. For data with
            a few videos that are much longer than the others. None shows
            all. Defaults to None.
        unroll (int): Training only. Clips in a row of each lane that a batch
            holds, K. Defaults to 1.

    Raises:
        ValueError: If an argument is out of its range, the sampler or data
            set lacks what is needed, a clip comes twice, or there are fewer
            videos than lanes in training.

    Examples:
        >>> train_dataloader = dict(
        ...     batch_size=8,
        ...     num_workers=8,
        ...     sampler=dict(type='DefaultSampler', shuffle=True),
        ...     batch_sampler=dict(type='StreamBatchSampler'),
        ...     dataset=dict(type='OnlineVideoDataset', ...))
    """

    def __init__(self,
                 sampler: Sampler,
                 batch_size: int,
                 mode: str | None = None,
                 split_videos: bool = False,
                 max_stream_len: int | None = None,
                 unroll: int = 1,
                 **kwargs: Any) -> None:
        retire(kwargs, drop_last=False)
        check_no_more(kwargs, self)
        self.batch_size = check_whole('batch_size', batch_size)
        self.unroll = check_whole('unroll', unroll)
        if max_stream_len is not None and max_stream_len < 1:
            raise ValueError(
                f'max_stream_len={max_stream_len} must be at least 1 or None: '
                'the most clips an epoch shows of a video')
        for name in ('dataset', 'shuffle', 'seed', 'epoch', 'rank',
                     'world_size'):
            if not hasattr(sampler, name):
                raise ValueError(
                    f'{type(sampler).__name__} has no `{name}`, which '
                    'StreamBatchSampler reads. Use '
                    "sampler=dict(type='DefaultSampler', shuffle=True).")
        if mode is None:
            mode = self._infer_mode(sampler)
        elif mode not in ('train', 'eval'):
            raise ValueError(f"mode={mode!r} must be 'train', 'eval' or None")
        if mode == 'eval' and (split_videos or max_stream_len or unroll > 1):
            raise ValueError(
                f'split_videos={split_videos}, max_stream_len='
                f'{max_stream_len} and unroll={unroll} are for training '
                'only: evaluation shows every video whole, clip by clip. '
                'Remove them from this data loader.')

        self.sampler = sampler
        self.mode = mode
        self.split_videos = split_videos
        self.max_stream_len = max_stream_len
        self.streams = index_streams(read_stream_keys(sampler.dataset))
        if mode == 'train':
            self._prepare_training()
        else:
            self._prepare_evaluation()

    @staticmethod
    def _infer_mode(sampler: Sampler) -> str:
        test_mode = getattr(sampler.dataset, 'test_mode', None)
        if sampler.shuffle and test_mode:
            raise ValueError(
                'The sampler has shuffle=True but the data set '
                'test_mode=True, so it is not clear whether this is for '
                'training. Set shuffle=False for validation and testing, '
                "or the batch sampler's mode to 'train' or 'eval'.")
        if (not sampler.shuffle and test_mode is False
                and sampler.world_size > 1):
            warn(
                'StreamBatchSampler plans an evaluation, because the sampler '
                'has shuffle=False: ranks may get different numbers of '
                'steps. If this is for training in a fixed order, set the '
                "batch sampler's mode='train'.")
        return 'train' if sampler.shuffle else 'eval'

    def _prepare_training(self) -> None:
        """Fix the number of steps and log how many clips repeat."""
        lengths = self._streams_of(epoch=0).lengths
        world_size = self.sampler.world_size
        num_lanes = world_size * self.batch_size
        check_enough_videos(len(lengths), world_size, self.batch_size)
        self._steps = count_train_steps(lengths, num_lanes,
                                        self.split_videos)
        places, clips = num_lanes * self._steps, int(lengths.sum())
        left_out = int(self.streams.lengths.sum()) - clips
        share = 1 - clips / places
        text = (
            f'StreamBatchSampler (train): {len(lengths)} videos with '
            f'{clips + left_out} clips in {num_lanes} lanes ({world_size} '
            f'processes x {self.batch_size}), {self._steps} steps per epoch; ')
        if self.unroll > 1:
            text += f'{len(self)} windows of {self.unroll} clips a lane; '
        if left_out:
            text += (
                f'every epoch leaves out {left_out} clips of '
                f'{(self.streams.lengths > lengths).sum()} videos with more '
                f'than max_stream_len={self.max_stream_len} clips, whose '
                'pieces take turns')
        else:
            text += 'every clip appears'
        text += (f', {places - clips} of {places} places ({share:.1%}) '
                 'repeat a clip.')
        if share > _MUCH_PADDING:
            text += f' To repeat fewer: {self._find_remedy(lengths)}.'
        log(text,
            logging.WARNING if share > _MUCH_PADDING else logging.INFO)

    def _find_remedy(self, lengths: np.ndarray) -> str:
        """What to change when many clips repeat."""
        num_lanes = self.sampler.world_size * self.batch_size
        average = int(lengths.sum()) // num_lanes
        if not can_split(lengths, num_lanes):
            left_out = (lengths - average).clip(min=0).sum()
            return (f'the longest video has {lengths.max()} clips, a lane '
                    f'{average} on average; max_stream_len={average} leaves '
                    f'out {left_out} clips of long videos per epoch, and a '
                    'smaller batch size or shorter videos in the list help, '
                    'too')
        if self.split_videos:
            return 'use a smaller batch size or list more videos'
        steps = count_train_steps(lengths, num_lanes, split_videos=True)
        share = 1 - lengths.sum() / (steps * num_lanes)
        return (f'split_videos=True gives {steps} steps and repeats '
                f'{share:.1%}; a smaller batch size helps, too')

    def _streams_of(self, epoch: int) -> Streams:
        """What a training epoch shows of the videos."""
        if self.max_stream_len is None:
            return self.streams
        return limit_streams(self.streams, self.max_stream_len,
                             self.sampler.seed, epoch)

    def _prepare_evaluation(self) -> None:
        """Plan once, as all evaluations are alike."""
        lengths, world_size = self.streams.lengths, self.sampler.world_size
        self._batches = plan_evaluation(self.streams, self.sampler.rank,
                                        world_size, self.batch_size)
        self._steps = len(self._batches)
        log(
            f'StreamBatchSampler (eval): {len(lengths)} videos with '
            f'{lengths.sum()} clips in {world_size * self.batch_size} lanes '
            f'({world_size} processes x {self.batch_size}), every clip '
            f'once; {self._steps} steps on this process.')

    def __iter__(self) -> Iterator[list[int]]:
        """Iterate over the batches of the sampler's current epoch."""
        if self.mode == 'eval':
            return iter(self._batches)
        # Set here and not at the first batch, so that the data set knows its
        # epoch before workers start.
        set_dataset_epoch(self.sampler.dataset, self.sampler.epoch)
        plan = plan_train_epoch(
            self._streams_of(self.sampler.epoch), self.sampler.seed,
            self.sampler.epoch, self.sampler.rank, self.sampler.world_size,
            self.batch_size, self.sampler.shuffle, self.split_videos)
        return (plan[i:i + self.unroll].ravel().tolist()
                for i in range(0, len(plan), self.unroll))

    def __len__(self) -> int:
        """Number of batches of this process."""
        return math.ceil(self._steps / self.unroll)


def read_stream_keys(dataset: Any) -> list[tuple[str, int]]:
    """Read video and position of every sample, without decoding.

    Args:
        dataset (Dataset): A data set with ``stream_keys()``, or one whose
            ``get_data_info(index)`` has ``video_id`` and ``timestamp``, or a
            ``ConcatDataset`` of such.

    Returns:
        list[tuple]: ``(video_id, position)`` of every index.

    Raises:
        ValueError: If the data set offers neither, or a number of keys that
            is not its length.
    """
    if type(dataset).__name__ == '_SlicedDataset':
        raise ValueError(
            f'num_batch_per_epoch cuts the data set to its first '
            f'{len(dataset)} samples, in the middle of a stream. Remove it '
            'from the data loader and list fewer videos for a shorter epoch.')
    if isinstance(dataset, ConcatDataset):
        return [
            key for part in dataset.datasets for key in read_stream_keys(part)
        ]
    if hasattr(dataset, 'stream_keys'):
        keys = list(dataset.stream_keys())
    elif hasattr(dataset, 'get_data_info'):
        keys = _read_data_infos(dataset)
    else:
        raise ValueError(
            f'{type(dataset).__name__} has neither `stream_keys` nor '
            '`get_data_info`, so the video and position of its samples are '
            f'not known. {_REMEDY}')
    if len(keys) != len(dataset):
        raise ValueError(
            f'{type(dataset).__name__}.stream_keys() gives {len(keys)} keys '
            f'for {len(dataset)} samples. It must give one (video_id, '
            'position) for every index, in index order.')
    return keys


def _read_data_infos(dataset: Any) -> list[tuple[str, int]]:
    """Read the keys from the annotation of every sample."""
    log(f'{type(dataset).__name__} has no `stream_keys`; reading the '
        f'annotations of {len(dataset)} samples one by one')
    keys = []
    for info in map(dataset.get_data_info, range(len(dataset))):
        if 'video_id' not in info or 'timestamp' not in info:
            raise ValueError(
                f'{type(dataset).__name__} has no `stream_keys`, and its '
                'annotations have no `video_id` and `timestamp`, only '
                f'{sorted(info)}. {_REMEDY}')
        keys.append((info['video_id'], info['timestamp']))
    return keys


def set_dataset_epoch(dataset: Any, epoch: int) -> None:
    """Tell the data set its epoch, if it wants to know.

    Args:
        dataset (Dataset): A data set, with or without ``set_epoch``, or a
            ``ConcatDataset`` of such.
        epoch (int): Number of the epoch, from 0.
    """
    if hasattr(dataset, 'set_epoch'):
        dataset.set_epoch(epoch)
    elif isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            set_dataset_epoch(part, epoch)
