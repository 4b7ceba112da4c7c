# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Untrimmed videos of EPIC-KITCHENS-100 as streams of consecutive clips."""
from typing import Callable, Optional, Union

import numpy as np
import torch
from mmaction.registry import DATASETS

from ..messages import check_choice, check_whole, first_names, log, warn
from .epic import CHECK_EPIC, EpicVideoDataset
from .grid import SAME_TIME, ClipGrid, Clock, cut_tokens, seconds_to_segments
from .labels import choose_by_share, choose_by_time, latest_first

#: Positions left out between two queries of ``anticipation_grid='segments'``,
#: so that no memory goes from one to the next.
QUERY_BREAK = 1000


@DATASETS.register_module()
class OnlineEpicDataset(EpicVideoDataset):
    """Consecutive clips of whole videos, for models with memory.

    A clip has ``clip_len`` frames, ``frame_interval`` apart, counted at
    ``sample_fps`` whatever the rate of the video, so that clips last equally
    long in all videos: at an instant the frame is taken that is on screen,
    never a later one.

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

    In anticipation a token sees no frame that begins after its end, if the
    model is causal (``MeMViT(causal=True)``): token i of clip_len / 2 sees
    sampled frames 0 to 2i + 1, and the clips before. Where clips overlap, the
    memory holds the clip before, which has seen further than the first tokens
    of a clip: these get NaN as ``token_times`` and label -1, as the earlier
    clip has answered for that time.

    How segments are anticipated, ``anticipation_grid``:

    - ``'grid'``: the stream is that of training, and a segment gets the last
      token that ends at ``start - tau_a`` or before, as
      ``EpicAnticipationMetric(online=True)`` has it. One pass over the video
      serves all segments. The observation ends up to a token (0.27 s for
      16x4) early, less with a ``clip_stride`` that is shorter than a token.
    - ``'segments'``: one clip, the *query*, for every segment, which ends at
      ``start - tau_a`` exactly, after ``context_clips`` clips that lead up to
      it, end to start, and fill the memory. Only the last token of the query
      has ``token_times``. Queries do not share memory: their positions are
      more than 1000 apart. Use it for models without memory
      (``context_clips=0``), or to see how much the early end costs.

    Samples hold, beside the keys of :class:`StreamDataset`, what
    ``LoadVideoClip`` or MMAction2's ``RawFrameDecode`` need, without a
    sampling transform:

    - ``label`` (Tensor): int64 of shape (num_tokens, 3): verb, noun, action;
      -1 where not known,
    - ``token_times`` (np.ndarray): float64 of shape (num_tokens, 2): start
      and end in seconds; NaN for tokens that score nothing, such as those
      after the end of the video. Metrics need it: list it in ``meta_keys``,
    - ``narration_id`` (str): the segment that a query is for, else ``''``,
    - ``clip_range`` (tuple[int]): first and last frame that is loaded, from
      0, ``start_seconds`` (float): when the clip begins,
    - ``frame_inds`` (np.ndarray): int64 of shape (clip_len, ),
    - ``clip_len``, ``frame_interval``, ``num_clips`` (1).

    Args:
        ann_file (str): List of segments. Its videos are shown whole.
        pipeline (list[dict | Callable]): The transforms.
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
        last_clip (str): As in :class:`OnlineVideoDataset`. Defaults to
            ``'pad'``.
        **kwargs: Further arguments of :class:`EpicVideoDataset`.
    """

    def __init__(self,
                 ann_file: str,
                 pipeline: list[Union[dict, Callable]],
                 clip_len: int = 16,
                 frame_interval: int = 4,
                 sample_fps: Optional[float] = 30.,
                 clip_stride: Optional[int] = None,
                 num_tokens: Optional[int] = None,
                 anticipation_grid: str = 'grid',
                 context_clips: int = 0,
                 min_overlap: float = 0.5,
                 max_idle: Optional[float] = None,
                 last_clip: str = 'pad',
                 **kwargs) -> None:
        self.grid = ClipGrid(clip_len, frame_interval, clip_stride, last_clip)
        check_choice('anticipation_grid', anticipation_grid,
                     ('grid', 'segments'))
        if num_tokens is None:
            num_tokens = max(1, clip_len // 2)
        task = kwargs.get('task', 'recognition')
        self.by_query = anticipation_grid == 'segments'
        if self.by_query and (task != 'anticipation' or max_idle is not None):
            raise ValueError(
                "anticipation_grid='segments' needs task='anticipation' and "
                f'max_idle=None, but they are {task!r} and {max_idle}')
        if context_clips and not self.by_query:
            raise ValueError(f'context_clips={context_clips} is for '
                             "anticipation_grid='segments' only")
        self.sample_fps = sample_fps
        self.num_tokens = check_whole('num_tokens', num_tokens)
        self.context_clips = check_whole('context_clips', context_clips, 0)
        self.min_overlap = min_overlap
        self.max_idle = max_idle
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    # -- planning -----------------------------------------------------------

    def plan_samples(self, videos: list[dict]) -> dict[str, np.ndarray]:
        """Divides the videos into clips: a few bytes for every clip."""
        self._sort_segments(videos)
        plan = self._plan_queries if self.by_query else self._plan_grid
        parts = [plan(i, video) for i, video in enumerate(videos)]
        counts = [len(part[0]) for part in parts]
        if not sum(counts):
            raise ValueError(f'no clip of {self.ann_file!r} is left. Remedy: '
                             f'raise max_idle={self.max_idle}, or, if '
                             f'segments start within tau_a={self.tau_a} of '
                             'their videos, lower it')
        position, query, before = (np.concatenate(column).astype(np.int32)
                                   for column in zip(*parts))
        self._report(videos, before)
        return dict(
            video=np.repeat(np.arange(len(videos), dtype=np.int32), counts),
            position=position,
            query=query,
            before=before)

    def _sort_segments(self, videos: list[dict]) -> None:
        """The rows that label, by video, the preferred ones first."""
        starts, stops = self.segments.starts, self.segments.stops
        groups = []
        for video in videos:
            rows = np.sort(self.segments.rows_of(video['video_id']))
            rows = rows[np.isfinite(starts[rows] + stops[rows])]
            groups.append(rows[latest_first(starts[rows], stops[rows])])
        self._rows = np.concatenate(groups)
        self._first_row = np.cumsum([0, *map(len, groups)])

    def _rows_of(self, number: int) -> np.ndarray:
        """Rows of the segments of a video."""
        return self._rows[self._first_row[number]:self._first_row[number + 1]]

    def _plan_grid(self, number: int, video: dict) -> tuple[np.ndarray, ...]:
        """Positions of a video's clips; they are for no segment."""
        grid = self.grid
        positions = np.arange(grid.num_clips(self._grid_frames(video)))
        if self.max_idle is not None:
            rate = self._rate(video)
            rows = self._rows_of(number)
            starts = self.segments.starts[rows]
            stops = self.segments.stops[rows]
            if self.task == 'anticipation':
                # The last token that ends in time answers for a segment; it
                # ends up to a token early, perhaps in the clip before, and
                # earlier still where clips leave out frames between them.
                early = (grid.span / self.num_tokens
                         + max(0, grid.clip_stride - grid.span)) / rate
                starts = starts - self.tau_a - early
                stops = stops - self.tau_a
            begins = positions * grid.clip_stride / rate
            distance = seconds_to_segments(begins, begins + grid.span / rate,
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

    def _report(self, videos: list[dict], before: np.ndarray) -> None:
        grid, segments = self.grid, self.segments
        self.summary = (
            f' of {grid.clip_len} x {grid.frame_interval} frames and '
            f'{self.num_tokens} tokens, {len(segments)} segments, for '
            f'{self.task}')
        if self.by_query:
            self.summary += (f': {int((before == 0).sum())} segments, each '
                              f'after up to {self.context_clips} clips')
        elif self.max_idle is not None:
            total = sum(grid.num_clips(self._grid_frames(v)) for v in videos)
            left = total - len(before)
            self.summary += (
                f'; {left} clips ({left / total:.1%}) are left out, more than '
                f'max_idle={self.max_idle:g} s from all segments')
        late = self.names_of(self.after_the_end(videos))
        if late:
            warn(f'{len(late)} of {len(segments)} segments start after the '
                 f'end of their video: {first_names(late)}. Check the videos '
                 f'by {CHECK_EPIC}')
        empty = int((segments.starts == segments.stops).sum())
        if empty:
            log(f'{empty} segments have no length and are the label of no '
                'token')

    # -- clips --------------------------------------------------------------

    def _rate(self, video: dict) -> float:
        """Frames per second that clip length and stride count at."""
        return self.sample_fps or video['fps']

    def _grid_frames(self, video: dict) -> int:
        """Length of a video in frames at that rate."""
        if self.sample_fps is None:
            return video['num_frames']
        return max(1, int(Clock(video).end * self.sample_fps + SAME_TIME))

    def _start(self, idx: int, video: dict) -> tuple[float, float]:
        """Start of a clip in seconds, and until when others have seen more.

        It is negative if the clip starts before the video.
        """
        rate = self._rate(video)
        query = int(self.samples['query'][idx])
        if query >= 0:
            clips = int(self.samples['before'][idx]) + 1
            end = self.segments.starts[query] - self.tau_a
            return end - clips * self.grid.span / rate, -np.inf
        position = int(self.samples['position'][idx])
        start = position * self.grid.clip_stride / rate
        if self.task == 'recognition' or position == 0:
            return start, -np.inf
        return start, start + (self.grid.span - self.grid.clip_stride) / rate

    def _choose(self, number: int, times: np.ndarray) -> np.ndarray:
        """Row of the segment that labels each token, -1 for none."""
        rows = self._rows_of(number)
        segments = np.stack(
            [self.segments.starts[rows], self.segments.stops[rows]], 1)
        if self.task == 'recognition':
            chosen = choose_by_share(times, segments, self.min_overlap)
        else:
            chosen = choose_by_time(times[:, 1] + self.tau_a, segments)
        return np.append(rows, -1)[chosen]

    def sample_keys(self, idx: int, video: dict) -> dict:
        """Frames, tokens and labels of a clip."""
        start, seen = self._start(idx, video)
        rate, grid, clock = self._rate(video), self.grid, Clock(video)
        times = cut_tokens(start, grid.span / rate, self.num_tokens, clock.end)
        times[times[:, 1] <= seen + SAME_TIME] = np.nan
        rows = self._choose(int(self.samples['video'][idx]), times)
        query = int(self.samples['query'][idx])
        is_query = query >= 0 and not self.samples['before'][idx]
        if is_query:
            rows[-1] = query
        if query >= 0:
            times[:-1 if is_query else None] = np.nan
        steps = np.arange(grid.clip_len) * grid.frame_interval / rate
        frames = clock.frame_at(start + steps)
        labels = np.where(rows[:, None] < 0, -1, self._labels[rows])
        return {
            'label': torch.from_numpy(labels),
            'token_times': times,
            'narration_id':
            self.segments.narration_ids[query] if is_query else '',
            'clip_range': (int(frames[0]), int(frames[-1])),
            'start_seconds': float(start),
            'frame_inds': frames + self.start_index,
            'clip_len': grid.clip_len,
            'frame_interval': grid.frame_interval,
            'num_clips': 1,
        }
