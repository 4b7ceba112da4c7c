# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Long videos as streams of consecutive clips."""
import logging
import os.path as osp
from typing import Callable, Optional, Union

import numpy as np
import torch
from mmaction.registry import DATASETS
from mmengine.dataset import force_full_init
from mmengine.logging import print_log

from ..video.index import first_names
from .clip_grid import ClipGrid
from .listed_video_dataset import ListedVideoDataset
from .source_options import check_choice
from .video_files import leave_out, video_source


@DATASETS.register_module()
class OnlineVideoDataset(ListedVideoDataset):
    """Consecutive clips of labelled videos, for models with memory.

    Every video gives clips 0, 1, 2, ... of ``clip_len`` frames that are
    ``frame_interval`` frames apart. Clips start ``clip_stride`` frames after
    each other; by default one starts where the one before it ends. A sample
    is one clip and tells which (``video_id``, ``timestamp``), so that
    ``StreamBatchSampler`` and the memory bank can follow the video.

    Two forms of list are read (see :func:`read_video_list`): MMAction2's
    ``path label`` and, with ``ann_format='segments'``, one line a labelled
    segment, ``path start end label`` in seconds. A clip then gets the label
    of the segment that it shares most time with (of equal ones, the first in
    the list), provided that this is ``min_overlap`` of the clip or of the
    segment; else its label is -1, not annotated. With ``multi_class`` it gets
    the labels of all segments that meet this condition.

    Samples hold these keys, which is what ``LoadVideoClip`` or MMAction2's
    ``DecordInit``, ``DecordDecode`` need, without a sampling transform:

    - ``filename`` (str), ``label`` (int, or with ``multi_class`` a float
      Tensor of shape (num_classes,), all -1 if not annotated),
    - ``video_id`` (str): the path as in the list,
    - ``timestamp`` (int): number of the clip in its video, from 0,
    - ``segment_id`` (str): the labelled segment, unique in the dataset; ``''``
      without one,
    - ``clip_range`` (tuple[int]): first and last frame that the clip stands
      for, from 0, inclusive,
    - ``frame_inds`` (np.ndarray): int64 of shape (clip_len,),
    - ``total_frames`` (int), ``fps`` (float), ``clip_len``,
      ``frame_interval``, ``num_clips`` (1), ``modality``, ``start_index``,
      ``sample_idx``, ``epoch`` and ``aug_seed`` (ints).

    A video that cannot be read in training is reported once and another
    sample, chosen by seed, epoch and index alone, takes the clip's place;
    :meth:`failure_counts` tells how often. In test mode it is an error.

    Args:
        ann_file (str): Path of the list.
        pipeline (list[dict | Callable]): The transforms.
        clip_len (int): Frames of a clip. Defaults to 16.
        frame_interval (int): Frames from one sampled frame to the next.
            Defaults to 4.
        clip_stride (int, optional): Frames from the start of a clip to the
            start of the next; less than ``clip_len * frame_interval`` gives
            clips that overlap. Defaults to None: clip_len * frame_interval.
        data_prefix (dict): ``video``: the folder that paths of the list start
            from. Defaults to ``dict(video='')``.
        index_file (str, optional): Frame counts, written by
            tools/data/build_video_index.py. Defaults to None: the videos are
            read through at the start, every time.
        ann_format (str): ``'video'`` or ``'segments'``. Defaults to
            ``'video'``.
        delimiter (str): What stands between the fields of the list; ``' '``
            means any white space. Defaults to ``' '``.
        num_classes (int, optional): Number of classes; labels must be below
            it. Defaults to None: the number of ``classes`` in ``metainfo``
            if there are any, else labels are not checked.
        multi_class (bool): Whether a clip may have several labels, which
            needs ``num_classes``. Defaults to False.
        last_clip (str): What becomes of the frames after the last full clip,
            if they are at least ``frame_interval``: ``'pad'`` makes a clip of
            them that repeats the last frame, ``'drop'`` leaves them out and
            says how many. Defaults to ``'pad'``.
        short_video (str): What to do with videos shorter than a clip:
            ``'error'``, ``'pad'`` (repeat the last frame) or ``'skip'``
            (leave them out, with a warning). Defaults to ``'error'``.
        missing_video (str): What to do with videos that are not there or, by
            the index, cannot be read: ``'error'``, ``'skip'`` (leave them
            out, with a warning) or ``'unchecked'`` (do not look for them; a
            missing one fails when it is read). Defaults to ``'error'``.
        min_overlap (float): See above, in (0, 1]. Defaults to 0.5.
        seed (int): Seed of replacement samples and of ``PerVideoAugment``.
            Defaults to 0.
        test_mode (bool): Whether videos that fail are an error. Defaults to
            False.
        max_refetch (int): In training, how many replacements in a row may
            fail before it is an error. Defaults to 20.
        **kwargs: Further arguments of MMAction2's ``BaseActionDataset``.

    Raises:
        FileNotFoundError: If the list, the index or videos do not exist.
        ValueError: If an argument or a line of the list is out of range, or
            the index does not fit.
    """

    sample_arrays = (*ListedVideoDataset.sample_arrays, '_clip_segment')

    def __init__(self,
                 ann_file: str,
                 pipeline: list[Union[dict, Callable]],
                 clip_len: int = 16,
                 frame_interval: int = 4,
                 clip_stride: Optional[int] = None,
                 data_prefix: Optional[dict] = None,
                 index_file: Optional[str] = None,
                 ann_format: str = 'video',
                 delimiter: str = ' ',
                 num_classes: Optional[int] = None,
                 multi_class: bool = False,
                 last_clip: str = 'pad',
                 short_video: str = 'error',
                 missing_video: str = 'error',
                 min_overlap: float = 0.5,
                 seed: int = 0,
                 test_mode: bool = False,
                 max_refetch: int = 20,
                 **kwargs) -> None:
        self.grid = ClipGrid(clip_len, frame_interval, clip_stride, last_clip)
        check_choice('short_video', short_video, ('error', 'pad', 'skip'))
        if not 0 < min_overlap <= 1:
            raise ValueError(f'min_overlap={min_overlap} must be above 0 and '
                             'at most 1')
        self.short_video = short_video
        self.min_overlap = min_overlap
        super().__init__(
            ann_file,
            pipeline=pipeline,
            data_prefix=data_prefix,
            ann_format=ann_format,
            delimiter=delimiter,
            index_file=index_file,
            missing_video=missing_video,
            seed=seed,
            test_mode=test_mode,
            multi_class=multi_class,
            num_classes=num_classes,
            max_refetch=max_refetch,
            **kwargs)

    # -- loading ------------------------------------------------------------

    def load_data_list(self) -> list[dict]:
        """Loads the videos.

        Returns:
            list[dict]: One dict for every video: ``video_id``, ``filename``,
            ``label``, ``num_frames``, ``fps`` and, with segments,
            ``segments``.
        """
        videos = self._drop_short(self.list_videos())
        self.check_any_left(videos)
        self._divide(videos)
        return videos

    def _drop_short(self, videos: list[dict]) -> list[dict]:
        if self.short_video == 'pad':
            return videos
        span = self.grid.span
        short = [v for v in videos if v['num_frames'] < span]
        names = [f"{v['filename']} ({v['num_frames']} frames)" for v in short]
        return leave_out(
            names, [v for v in videos if v['num_frames'] >= span],
            self.short_video, ValueError,
            f'{len(short)} of {len(videos)} videos of {self.ann_file!r} are '
            f'shorter than a clip of clip_len={self.grid.clip_len} x '
            f'frame_interval={self.grid.frame_interval} = {span} frames: '
            f'{first_names(names)}', "set short_video='pad' or 'skip', or a "
            'smaller clip_len or frame_interval')

    def _divide(self, videos: list[dict]) -> None:
        """Plans the clips: numbers only, a few bytes for every clip."""
        counts = np.asarray(
            [self.grid.num_clips(v['num_frames']) for v in videos])
        firsts = np.cumsum(counts) - counts
        clip_video = np.repeat(
            np.arange(len(videos), dtype=np.int32), counts)
        clip_position = np.arange(len(clip_video)) - firsts[clip_video]
        clip_segment = np.full(len(clip_video), -1, np.int32)
        unused = []
        if self.ann_format == 'segments':
            for video, first, count in zip(videos, firsts, counts):
                clips, segments, shared = self._overlaps(video, count)
                # Of each clip, the segment that shares most, then the first.
                best = np.lexsort((-segments, shared))
                clip_segment[first + clips[best]] = segments[best]
                used = segments if self.multi_class else clip_segment[
                    first:first + count]
                unused += [
                    self._segment_id(video, k) for k in np.setdiff1d(
                        np.arange(len(video['segments'])), used)
                ]
        self.set_samples([v['video_id'] for v in videos],
                         _clip_video=clip_video,
                         _clip_position=clip_position.astype(np.int32),
                         _clip_segment=clip_segment)
        self._report(videos, counts, unused)

    def _report(self, videos: list[dict], counts: np.ndarray,
                unused: list[str]) -> None:
        hours = sum(v['num_frames'] / v['fps'] for v in videos) / 3600
        text = (f'{osp.basename(self.ann_file)}: {len(videos)} videos, '
                f'{hours:.4g} h, {counts.sum()} clips of '
                f'{self.grid.clip_len} x {self.grid.frame_interval} frames, '
                f'{counts.min()} to {counts.max()} a video')
        if self.ann_format == 'segments':
            share = (self._clip_segment < 0).mean()
            text += f', {share:.1%} of the clips not annotated'
        if self.grid.last_clip == 'drop':
            lost = sum(self.grid.num_left_out(v['num_frames']) for v in videos)
            total = sum(v['num_frames'] for v in videos)
            text += (f"; last_clip='drop' leaves out {lost} frames at the "
                     f'ends ({lost / total:.1%})')
        print_log(text, logger='current')
        if unused:
            print_log(
                f'{len(unused)} labelled segments are the label of no clip: '
                f'{first_names(unused)}. They are shorter than a clip, hidden '
                'by others, or after the end of the video. Remedy, where they '
                'matter: a smaller clip_stride',
                logger='current',
                level=logging.WARNING)

    # -- clips --------------------------------------------------------------

    def _overlaps(self, video: dict, num_clips: int, first_clip: int = 0
                  ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which of consecutive clips share enough time with which segments.

        Args:
            video (dict): The video.
            num_clips (int): How many clips.
            first_clip (int): The first of them. Defaults to 0.

        Returns:
            tuple[np.ndarray, np.ndarray, np.ndarray]: Clips, segments and
            seconds that they share, one entry a pair, by segments.
        """
        positions = first_clip + np.arange(num_clips)
        first, last = self.grid.frame_range(positions, video['num_frames'])
        start, end = first / video['fps'], (last + 1) / video['fps']
        times = np.asarray([s[:2] for s in video['segments']],
                           dtype=float).reshape(-1, 2)
        # Only clips that overlap a segment: both ends increase.
        low = np.searchsorted(end, times[:, 0], 'right')
        high = np.maximum(low, np.searchsorted(start, times[:, 1], 'left'))
        sizes = high - low
        segments = np.repeat(np.arange(len(times)), sizes)
        offsets = np.arange(len(segments)) - np.repeat(
            np.cumsum(sizes) - sizes, sizes)
        clips = low[segments] + offsets
        begin, stop = times[segments].T
        shared = np.minimum(end[clips], stop) - np.maximum(start[clips], begin)
        needed = np.minimum(end[clips] - start[clips], stop - begin)
        # Rounding: half a clip exactly must count as half a clip.
        shared = shared.round(9)
        enough = (shared >= (self.min_overlap * needed).round(9)) & (shared >
                                                                     0)
        return positions[clips[enough]], segments[enough], shared[enough]

    @staticmethod
    def _segment_id(video: dict, number: int) -> str:
        return f"{video['video_id']}#{number}"

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """What the pipeline gets for a clip.

        Args:
            idx (int): Number of the clip.

        Returns:
            dict: The keys that the class describes.
        """
        idx = range(len(self))[idx]
        position = int(self._clip_position[idx])
        video = self.get_video_info(int(self._clip_video[idx]))
        num_frames = video['num_frames']
        first, last = self.grid.frame_range(position, num_frames)
        segment = int(self._clip_segment[idx])
        return {
            **self.sample_info(idx),
            **video_source(video),
            'label': self._label(video, position, segment),
            'segment_id':
            '' if segment < 0 else self._segment_id(video, segment),
            'clip_range': (int(first), int(last)),
            'frame_inds': self.grid.frame_inds(position, num_frames),
            'total_frames': num_frames,
            'fps': video['fps'],
            'clip_len': self.grid.clip_len,
            'frame_interval': self.grid.frame_interval,
            'num_clips': 1,
        }

    def _label(self, video: dict, position: int,
               segment: int) -> Union[int, torch.Tensor]:
        if not self.multi_class:
            if self.ann_format == 'video':
                return video['label']
            labels = video['segments'][segment][2] if segment >= 0 else ()
            return labels[0] if labels else -1
        labels = video['label']
        if self.ann_format == 'segments':
            found = self._overlaps(video, 1, position)[1]
            labels = [x for k in found for x in video['segments'][k][2]]
        return self.multi_hot(labels)
