# Copyright (c) mmaction_memvit contributors. All rights reserved.
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mmaction.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from ...messages import (
    check_choice,
    check_no_more,
    check_whole,
    log,
    retire,
    warn,
)
from .stream_plan import (
    Streams,
    can_split,
    check_enough_videos,
    count_train_steps,
    index_streams,
    limit_streams,
    plan_evaluation,
    plan_train_epoch,
    read_stream_keys,
    set_dataset_epoch,
)

# A larger share of repeated clips in training is worth a warning.
_MUCH_PADDING = 0.1


@DATA_SAMPLERS.register_module()
class StreamBatchSampler(Sampler):
    """Batches in which position ``k`` always continues the same video.

    Models with memory need the clips of a video in order. This batch sampler
    runs ``world_size * batch_size`` lanes, each showing whole videos clip by
    clip, one video after the other. It goes into a data loader's config, above
    an unchanged ``DefaultSampler``; its order is a pure function of what it
    reads there and of the batch size.

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

    Examples:
        >>> train_dataloader = dict(
        ...     batch_size=8,
        ...     num_workers=8,
        ...     sampler=dict(type='DefaultSampler', shuffle=True),
        ...     batch_sampler=dict(type='StreamBatchSampler'),
        ...     dataset=dict(type='OnlineVideoDataset', ...))
    """

    def __init__(self, sampler: Sampler, batch_size: int,
                 mode: str | None = None, split_videos: bool = False,
                 max_stream_len: int | None = None, unroll: int = 1,
                 **kwargs: Any) -> None:
        retire(kwargs, drop_last=False)
        check_no_more(kwargs, __class__)
        self.batch_size = check_whole('batch_size', batch_size)
        self.unroll = check_whole('unroll', unroll)
        if max_stream_len is not None:
            check_whole('max_stream_len', max_stream_len)
        for name in ('dataset', 'shuffle', 'seed', 'epoch', 'rank',
                     'world_size'):
            if not hasattr(sampler, name):
                raise ValueError(
                    f'{type(sampler).__name__} has no `{name}`, which '
                    'StreamBatchSampler reads. Use '
                    "sampler=dict(type='DefaultSampler', shuffle=True).")
        mode = self._infer_mode(sampler) if mode is None else mode
        check_choice('mode', mode, ('train', 'eval'))
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
        self._steps = count_train_steps(lengths, num_lanes, self.split_videos)
        places, clips = num_lanes * self._steps, int(lengths.sum())
        left_out = int(self.streams.lengths.sum()) - clips
        share = 1 - clips / places
        text = self._describe()
        if self.unroll > 1:
            text += f'; {len(self)} windows of {self.unroll} clips a lane'
        if left_out:
            text += (
                f'; every epoch leaves out {left_out} clips of '
                f'{(self.streams.lengths > lengths).sum()} videos with more '
                f'than max_stream_len={self.max_stream_len}, whose pieces '
                'take turns')
        text += f'; {places - clips} of {places} places ({share:.1%}) repeat'
        if share <= _MUCH_PADDING:
            log(text)
            return
        remedy = 'a smaller batch size, more videos'
        if not can_split(lengths, num_lanes):
            remedy += (f', max_stream_len={clips // num_lanes}, the mean of '
                       f'lanes (the longest video has {lengths.max()} clips)')
        elif not self.split_videos:
            remedy += ', split_videos=True'
        warn(f'{text}. To repeat fewer: {remedy}')

    def _describe(self) -> str:
        lengths, world_size = self.streams.lengths, self.sampler.world_size
        return (f'StreamBatchSampler ({self.mode}): {len(lengths)} videos '
                f'with {lengths.sum()} clips in '
                f'{world_size * self.batch_size} lanes ({world_size} '
                f'processes x {self.batch_size}), {self._steps} steps')

    def _streams_of(self, epoch: int) -> Streams:
        """What a training epoch shows of the videos."""
        if self.max_stream_len is None:
            return self.streams
        return limit_streams(self.streams, self.max_stream_len,
                             self.sampler.seed, epoch)

    def _prepare_evaluation(self) -> None:
        """Plan once, as all evaluations are alike."""
        self._batches = plan_evaluation(self.streams, self.sampler.rank,
                                        self.sampler.world_size,
                                        self.batch_size)
        self._steps = len(self._batches)
        log(self._describe())

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
