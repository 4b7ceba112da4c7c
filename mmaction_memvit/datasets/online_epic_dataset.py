# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Untrimmed videos of EPIC-KITCHENS-100 as streams of consecutive clips."""
import logging
import os.path as osp
from typing import Callable, NamedTuple, Optional, Union

import numpy as np
import torch
from mmaction.registry import DATASETS
from mmengine.dataset import force_full_init
from mmengine.logging import print_log

from mmaction_memvit.annotations.epic_segments import EpicSegments

from ..video.index import first_names
from .clip_grid import ClipGrid
from .epic_base import EpicVideoDataset, check_task
from .epic_grid import (
    SAME_TIME,
    choose_by_share,
    choose_by_time,
    cut_tokens,
    native_frames,
    preference_order,
    seconds_to_segments,
)
from .source_options import check_choice

#: Positions left out between two queries of ``anticipation_grid='segments'``,
#: so that no memory goes from one to the next.
QUERY_BREAK = 1000


class _Clip(NamedTuple):
    """A clip on the time axis of its video.

    Args:
        start (float): Seconds; negative if it starts before the video.
        fresh (float): Seconds; tokens that end until then have been seen
            further by an earlier clip.
    """
    start: float
    fresh: float = -np.inf


@DATASETS.register_module()
class OnlineEpicDataset(EpicVideoDataset):
    """Consecutive clips of whole videos, for models with memory.

    A clip has ``clip_len`` frames, ``frame_interval`` apart, counted at
    ``sample_fps`` whatever the rate of the video, so that clips last equally
    long in all videos: at an instant the frame is taken that is on screen,
    never a later one. Clips start ``clip_stride`` after each other; by
    default one starts where the one before it ends. A sample is one clip and
    tells which (``video_id``, ``timestamp``), so that ``StreamBatchSampler``
    and the memory bank can follow the video.

    A clip has ``num_tokens`` temporal tokens, each of which stands for an
    equal share of its time and learns a class of its own:

    - ``task='recognition'``: the segment that the token shares most time
      with, provided that this is ``min_overlap`` of the token or of the
      segment. Of several that share equally much it is the one that started
      last, of these the one that stops first, of these the first in the
      list.
    - ``task='anticipation'``: the segment that is going on ``tau_a`` after
      the end of the token; of several the one that started last, and so on.

    Where there is none, the label is -1, and the token takes no part in the
    loss. Metrics use their own list of segments, so no overlapping segment
    is lost in tests.

    What may be observed, in anticipation: a token sees no frame that begins
    after its end, provided that the model is causal, that is, mixes no later
    frames of the clip into it. With ``MeMViT(causal=True)``, whose patch
    embedding has kernel 3, stride 2 and padding 1 in time, token i of
    clip_len / 2 sees sampled frames 0 to 2i + 1, its own two and those
    before, and the clips before. Where clips overlap, the memory holds the
    clip before, which has seen further than the first tokens of a clip:
    these get NaN as ``token_times`` and label -1, as the earlier clip has
    answered for that time.

    How segments are anticipated, ``anticipation_grid``:

    - ``'grid'``: the stream is that of training, and a segment gets the last
      token that ends at ``start - tau_a`` or before, as
      ``EpicAnticipationMetric(online=True)`` has it. One pass over the video
      serves all segments, and memory is what it was in training. The
      observation ends up to a token (0.27 s for 16x4) early. A
      ``clip_stride`` that is shorter than a token makes that less, at as
      many times the cost, and with a memory of clips that overlap.
    - ``'segments'``: one clip, the *query*, for every segment, which ends at
      ``start - tau_a`` exactly, after ``context_clips`` clips that lead up to
      it, end to start, and fill the memory. Only the last token of the query
      has ``token_times``. Queries do not share memory: their positions are
      more than 1000 apart. It costs ``context_clips + 1`` clips a segment;
      use it for models without memory (``context_clips=0``), for which
      nothing else ends a clip where it should, or to see how much the early
      end costs.

    Samples hold these keys, which is what ``LoadVideoClip`` or MMAction2's
    ``RawFrameDecode`` need, without a sampling transform:

    - ``filename`` of the video, or ``frame_dir`` and ``filename_tmpl``,
    - ``label`` (Tensor): int64 of shape (num_tokens, 3): verb, noun, action;
      -1 where not known,
    - ``token_times`` (np.ndarray): float64 of shape (num_tokens, 2): start
      and end in seconds; NaN for tokens that score nothing, such as those
      after the end of the video. Metrics need it: list it in ``meta_keys``,
    - ``narration_id`` (str): the segment that a query is for, else ``''``,
    - ``video_id`` (str), ``timestamp`` (int): the video, and the number of
      the clip in it,
    - ``clip_range`` (tuple[int]): first and last frame that is loaded, from
      0,
    - ``frame_inds`` (np.ndarray): int64 of shape (clip_len, ),
    - ``total_frames`` (int), ``fps`` (float): of the video,
    - ``clip_len``, ``frame_interval``, ``num_clips`` (1), ``modality``,
      ``start_index``, ``sample_idx``, ``epoch``, ``aug_seed``.

    Args:
        ann_file (str): List of segments. Its videos are shown whole.
        pipeline (list[dict | Callable]): The transforms.
        task (str): ``'recognition'`` or ``'anticipation'``. Defaults to
            ``'recognition'``.
        clip_len (int): Frames of a clip. Defaults to 16.
        frame_interval (int): Frames from one sampled frame to the next, at
            ``sample_fps``. Defaults to 4.
        sample_fps (float, optional): Frames per second that
            ``frame_interval`` and ``clip_stride`` count at; None to count
            frames of the video. Defaults to 30.
        clip_stride (int, optional): Frames from the start of a clip to the
            start of the next. Defaults to None: clip_len * frame_interval.
        num_tokens (int, optional): Temporal tokens of a clip. Defaults to
            None: ``clip_len // 2``, at least 1.
        tau_a (float): For anticipation: how many seconds ahead is
            anticipated. Defaults to 1.
        anticipation_grid (str): See above. Defaults to ``'grid'``.
        context_clips (int): For ``'segments'``: clips before each query; as
            far as the video goes. Defaults to 0.
        min_overlap (float): For recognition, see above, in (0, 1]. Defaults
            to 0.5.
        max_idle (float, optional): Seconds: clips that are farther than this
            from all segments (in anticipation, from where they are to be
            anticipated, with the last token before that) are left out.
            Positions stay what they are, so that the ``max_gap`` of the
            model decides whether memory lasts over the gap. Defaults to
            None: none is left out.
        last_clip (str): What becomes of the rest of a video that fills no
            clip: ``'pad'`` makes a clip of it that repeats the last frame,
            ``'drop'`` leaves it out. Defaults to ``'pad'``.
        **kwargs: All further arguments of :class:`EpicVideoDataset`.

    Raises:
        FileNotFoundError: If files or videos do not exist.
        ValueError: If an argument is out of range, a list has another form,
            or files do not fit each other.
    """

    sample_arrays = (*EpicVideoDataset.sample_arrays, '_clip_query',
                     '_clip_before')

    def __init__(self,
                 ann_file: str,
                 pipeline: list[Union[dict, Callable]],
                 task: str = 'recognition',
                 clip_len: int = 16,
                 frame_interval: int = 4,
                 sample_fps: Optional[float] = 30.,
                 clip_stride: Optional[int] = None,
                 num_tokens: Optional[int] = None,
                 tau_a: float = 1.,
                 anticipation_grid: str = 'grid',
                 context_clips: int = 0,
                 min_overlap: float = 0.5,
                 max_idle: Optional[float] = None,
                 last_clip: str = 'pad',
                 **kwargs) -> None:
        check_task(task, tau_a)
        self.grid = ClipGrid(clip_len, frame_interval, clip_stride, last_clip)
        check_choice('anticipation_grid', anticipation_grid,
                     ('grid', 'segments'))
        if num_tokens is None:
            num_tokens = max(1, clip_len // 2)
        for name, value, least in (('num_tokens', num_tokens, 1),
                                   ('context_clips', context_clips, 0)):
            if not isinstance(value, int) or value < least:
                raise ValueError(f'{name}={value!r} must be a whole number of '
                                 f'at least {least}')
        if sample_fps is not None and not sample_fps > 0:
            raise ValueError(f'sample_fps={sample_fps} must be above 0, or '
                             'None to count frames of the video')
        if not 0 < min_overlap <= 1:
            raise ValueError(f'min_overlap={min_overlap} must be above 0 and '
                             'at most 1')
        if max_idle is not None and not max_idle >= 0:
            raise ValueError(f'max_idle={max_idle} must be at least 0 '
                             'seconds, or None')
        if anticipation_grid == 'segments':
            if task != 'anticipation' or max_idle is not None:
                raise ValueError(
                    "anticipation_grid='segments' needs task='anticipation' "
                    f'and max_idle=None, but they are {task!r} and '
                    f'{max_idle}')
        elif context_clips:
            raise ValueError(f'context_clips={context_clips} is for '
                             "anticipation_grid='segments' only")
        self.task = task
        self.sample_fps = sample_fps
        self.num_tokens = num_tokens
        self.tau_a = tau_a
        self.anticipation_grid = anticipation_grid
        self.context_clips = context_clips
        self.min_overlap = min_overlap
        self.max_idle = max_idle
        # Rows of the segments that label, video by video, and where a video
        # begins among them.
        self._rows = np.zeros(0, np.int64)
        self._first_row = np.zeros(1, np.int64)
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    # -- planning -----------------------------------------------------------

    def plan_samples(self, videos: list[dict],
                     segments: EpicSegments) -> None:
        """Divides the videos into clips: a few bytes for every clip."""
        self._sort_segments(videos, segments)
        plan = (self._plan_queries if self.anticipation_grid == 'segments'
                else self._plan_grid)
        parts = [plan(i, video) for i, video in enumerate(videos)]
        counts = [len(part[0]) for part in parts]
        if not sum(counts):
            raise ValueError(f'no clip of {self.ann_file!r} is left. Remedy: '
                             f'raise max_idle={self.max_idle}, or, if '
                             f'segments start within tau_a={self.tau_a} of '
                             'their videos, lower it')
        position, query, before = (np.concatenate(column).astype(np.int32)
                                   for column in zip(*parts))
        self.set_samples([v['video_id'] for v in videos],
                         _clip_video=np.repeat(
                             np.arange(len(videos), dtype=np.int32), counts),
                         _clip_position=position,
                         _clip_query=query,
                         _clip_before=before)
        self._report(videos, segments)

    def _sort_segments(self, videos: list[dict],
                       segments: EpicSegments) -> None:
        groups = []
        for video in videos:
            rows = segments.rows_of(video['video_id'])
            rows = rows[np.isfinite(segments.starts[rows]
                                    + segments.stops[rows])]
            # Equal segments stand in the order of the list.
            rows = np.sort(rows)
            groups.append(rows[preference_order(segments.starts[rows],
                                                segments.stops[rows])])
        self._rows = np.concatenate(groups)
        self._first_row = np.cumsum([0, *map(len, groups)])

    def _plan_grid(self, number: int, video: dict) -> tuple[np.ndarray, ...]:
        """Positions of a video's clips; they are for no segment."""
        positions = np.arange(self.grid.num_clips(self._grid_frames(video)))
        if self.max_idle is not None:
            starts, stops = self._times_of(number)
            rate = self._rate(video)
            if self.task == 'anticipation':
                # The last token that ends in time answers for a segment; it
                # ends up to a token early, perhaps in the clip before, and
                # earlier still where clips leave out frames between them.
                grid = self.grid
                early = (grid.span / self.num_tokens
                         + max(0, grid.clip_stride - grid.span)) / rate
                starts = starts - self.tau_a - early
                stops = stops - self.tau_a
            begins = positions * self.grid.clip_stride / rate
            distance = seconds_to_segments(begins,
                                           begins + self.grid.span / rate,
                                           starts, stops)
            positions = positions[distance <= self.max_idle + SAME_TIME]
        nothing = np.full(len(positions), -1)
        return positions, nothing, np.zeros_like(nothing)

    def _plan_queries(self, number: int,
                      video: dict) -> tuple[np.ndarray, ...]:
        """Positions, segments and how many clips follow until the query."""
        rows = self._rows_of(number)
        starts = self.segments.starts[rows]
        order = np.lexsort((rows, starts))
        rows, ends = rows[order], starts[order] - self.tau_a
        seen = ends > SAME_TIME
        rows, ends = rows[seen], ends[seen]
        before = np.arange(self.context_clips, -1, -1)
        chain = np.arange(len(rows))[:, None] * (
            self.context_clips + 1 + QUERY_BREAK)
        positions = chain + self.context_clips - before
        # Clips that end before the video starts show nothing.
        shown = (ends[:, None] - before * self.grid.span / self._rate(video)
                 ) > SAME_TIME
        rows, before = np.broadcast_arrays(rows[:, None], before)
        return positions[shown], rows[shown], before[shown]

    def _report(self, videos: list[dict], segments: EpicSegments) -> None:
        hours = sum(v['num_frames'] / v['fps'] for v in videos) / 3600
        grid = self.grid
        text = (f'{osp.basename(self.ann_file)}: {len(videos)} videos, '
                f'{hours:.4g} h, {len(segments)} segments, '
                f'{len(self._clip_video)} clips of {grid.clip_len} x '
                f'{grid.frame_interval} frames and {self.num_tokens} tokens, '
                f'for {self.task}')
        if self.anticipation_grid == 'segments':
            queries = int((self._clip_before == 0).sum())
            text += (f': {queries} segments, each after up to '
                     f'{self.context_clips} clips')
        else:
            total = sum(grid.num_clips(self._grid_frames(v)) for v in videos)
            if self.max_idle is not None:
                left = total - len(self._clip_video)
                text += (f'; {left} clips ({left / total:.1%}) are left out, '
                         f'more than max_idle={self.max_idle:g} s from all '
                         'segments')
        print_log(text, logger='current')
        ends = {v['video_id']: v['num_frames'] / v['fps'] for v in videos}
        late = [
            name for name, video, start in zip(
                segments.narration_ids, segments.video_ids, segments.starts)
            if start >= ends[video]
        ]
        if late:
            print_log(
                f'{len(late)} of {len(segments)} segments start after the '
                f'end of their video: {first_names(late)}. Check the videos '
                'by tools/data/epic100/check_epic.py',
                logger='current',
                level=logging.WARNING)
        empty = int((segments.starts == segments.stops).sum())
        if empty:
            print_log(
                f'{empty} segments have no length and are the label of no '
                'token',
                logger='current')

    # -- clips --------------------------------------------------------------

    def _rate(self, video: dict) -> float:
        """Frames per second that clip length and stride count at."""
        return self.sample_fps or video['fps']

    def _grid_frames(self, video: dict) -> int:
        """Length of a video in frames at that rate."""
        if self.sample_fps is None:
            return video['num_frames']
        frames = video['num_frames'] / video['fps'] * self.sample_fps
        return max(1, int(np.floor(frames + SAME_TIME)))

    def _rows_of(self, number: int) -> np.ndarray:
        return self._rows[self._first_row[number]:self._first_row[number + 1]]

    def _times_of(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self._rows_of(number)
        return self.segments.starts[rows], self.segments.stops[rows]

    def _clip(self, idx: int, video: dict) -> _Clip:
        rate = self._rate(video)
        query = int(self._clip_query[idx])
        if query >= 0:
            clips = int(self._clip_before[idx]) + 1
            end = self.segments.starts[query] - self.tau_a
            return _Clip(end - clips * self.grid.span / rate)
        position = int(self._clip_position[idx])
        start = position * self.grid.clip_stride / rate
        if self.task == 'recognition' or position == 0:
            return _Clip(start)
        return _Clip(
            start, start + (self.grid.span - self.grid.clip_stride) / rate)

    def _frame_inds(self, clip: _Clip, video: dict) -> np.ndarray:
        """Frames of a clip, from 0."""
        steps = np.arange(self.grid.clip_len) * self.grid.frame_interval
        return native_frames(clip.start + steps / self._rate(video),
                             video['fps'], video['num_frames'])

    def _choose(self, number: int, times: np.ndarray) -> np.ndarray:
        """Row of the segment that labels each token, -1 for none."""
        starts, stops = self._times_of(number)
        if self.task == 'recognition':
            chosen = choose_by_share(times, starts, stops, self.min_overlap)
        else:
            chosen = choose_by_time(times[:, 1] + self.tau_a, starts, stops)
        if not len(starts):
            return chosen
        return np.where(chosen < 0, -1, self._rows_of(number)[chosen])

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """What the pipeline gets for a clip.

        Args:
            idx (int): Number of the clip.

        Returns:
            dict: The keys that the class describes.
        """
        idx = range(len(self))[idx]
        number = int(self._clip_video[idx])
        video = self.get_video_info(number)
        clip = self._clip(idx, video)
        times = cut_tokens(clip.start, self.grid.span / self._rate(video),
                           self.num_tokens,
                           video['num_frames'] / video['fps'])
        times[times[:, 1] <= clip.fresh + SAME_TIME] = np.nan
        rows = self._choose(number, times)
        query = int(self._clip_query[idx])
        is_query = query >= 0 and not self._clip_before[idx]
        if is_query:
            rows[-1] = query
        if query >= 0:
            times[:-1 if is_query else None] = np.nan
        frames = self._frame_inds(clip, video)
        labels = np.where(rows[:, None] < 0, -1, self._labels[rows])
        return {
            **self.sample_info(idx),
            **self._source_of(video),
            'label': torch.from_numpy(labels),
            'token_times': times,
            'narration_id':
            self.segments.narration_ids[query] if is_query else '',
            'clip_range': (int(frames[0]), int(frames[-1])),
            'frame_inds': frames + self.start_index,
            'total_frames': video['num_frames'],
            'fps': video['fps'],
            'clip_len': self.grid.clip_len,
            'frame_interval': self.grid.frame_interval,
            'num_clips': 1,
        }
