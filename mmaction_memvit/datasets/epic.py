# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""EPIC-KITCHENS-100: videos with segments, as streams of clips."""
from collections.abc import Sequence
from typing import Callable, Optional, Union

import numpy as np
import torch
from mmaction.registry import DATASETS

from ..annotations.epic import (
    NUM_NOUNS,
    NUM_VERBS,
    EpicSegments,
    read_epic_segments,
)
from ..annotations.epic_lists import load_epic_actions, read_epic_video_info
from ..messages import (
    check_choice,
    check_whole,
    first_names,
    log,
    retire,
    tool,
    warn,
)
from ..video.frames import choose_by_time
from .grid import (
    SAME_TIME,
    ClipGrid,
    Clock,
    choose_by_share,
    cut_tokens,
    latest_first,
    seconds_to_segments,
)
from .source import NamedVideoDataset

CHECK_EPIC = tool('data/epic100/check_epic.py')
#: Where downloads put the files of a video, under the folder of all videos.
PLACES = {
    False: ('{participant}/{video}', '{video}',
            '{participant}/videos/{video}'),
    True: ('{participant}/{video}', '{video}',
           '{participant}/rgb_frames/{video}'),
}
# Seconds by which a file may differ from the video list.
_SAME_LENGTH = 0.5


class EpicVideoDataset(NamedVideoDataset):
    """Base of the data sets of EPIC-KITCHENS-100.

    Finds the videos, or the folders of their frames, where downloads put them:
    in the given folder, in that of the participant (``P01/P01_01.MP4``) or as
    published (``P01/videos/P01_01.MP4`` or
    ``P01/rgb_frames/P01_01/frame_0000000001.jpg``).

    Args:
        ann_file (str): List of segments: ``EPIC_100_train.csv`` or the like,
            or one without header in frames at 30 a second, see
            :func:`read_epic_segments`.
        pipeline (list[dict | Callable]): The transforms.
        task (str): ``'recognition'`` or ``'anticipation'``. Defaults to
            ``'recognition'``.
        tau_a (float): For anticipation: seconds from the last observation to
            the segment. Defaults to 1.
        video_info_file (str, optional): ``EPIC_100_video_info.csv``.
            Segments of videos that it does not list are an error (see
            ``ann_options``), files whose length is not the listed one a
            warning. Defaults to None.
        actions (str | Sequence[str], optional): ``actions.csv``, or the
            lists of training and validation segments: numbers the actions,
            that is, pairs of verb and noun. Metrics and checkpoints get the
            pairs as ``metainfo['action_pairs']``. Defaults to None: all
            actions are -1.
        num_verbs (int): Number of verb classes. Defaults to 97.
        num_nouns (int): Number of noun classes. Defaults to 300.
        ann_options (dict, optional): Further options of
            :func:`read_epic_segments`: what to do with segments without
            times, without length, or of unknown videos. Defaults to None.
        frame_fps (float | str): Rate of frames in folders; that of videos is
            known. ``'auto'`` takes, for every video, its own rate, 60 or 50,
            whichever fits the number of frames to the duration in
            ``video_info_file``: the frames that can be downloaded were not
            all extracted at the videos' rates. Defaults to ``'auto'``.
        **kwargs: Further arguments of :class:`NamedVideoDataset` and
            :class:`StreamDataset`. ``missing_video='skip'`` leaves segments
            out with their videos.
    """

    is_anywhere = True
    frame_name = 'frame_{:010d}.jpg'

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 task: str = 'recognition', tau_a: float = 1.,
                 video_info_file: Optional[str] = None,
                 actions: Union[str, Sequence[str], None] = None,
                 num_verbs: int = NUM_VERBS, num_nouns: int = NUM_NOUNS,
                 ann_options: Optional[dict] = None,
                 frame_fps: Union[float, str] = 'auto', **kwargs) -> None:
        check_choice('task', task, ('recognition', 'anticipation'))
        if tau_a < 0:
            raise ValueError(f'tau_a={tau_a} must be at least 0 seconds')
        self.task = task
        self.tau_a = tau_a
        self.video_info_file = video_info_file
        self.actions = [actions] if isinstance(actions, str) else [
            *(actions or ())]
        self.num_verbs = num_verbs
        self.num_nouns = num_nouns
        self.ann_options = dict(ann_options or {})
        self.is_auto = frame_fps == 'auto'
        #: EpicSegments: Those of videos that are used, and the others.
        self.segments: Optional[EpicSegments] = None
        self.left_out: Optional[EpicSegments] = None
        super().__init__(ann_file, pipeline=pipeline,
                         fps=None if self.is_auto else frame_fps, **kwargs)

    def _join_prefix(self) -> None:
        super()._join_prefix()
        self.video_info_file = self._join_root(self.video_info_file)
        self.actions = list(map(self._join_root, self.actions))

    def load_videos(self) -> list[dict]:
        """Reads the segments and looks for the videos."""
        if self.use_frames and self.is_auto and not self.video_info_file:
            raise ValueError(
                "frame folders with frame_fps='auto' need a video_info_file, "
                'EPIC_100_video_info.csv; or set frame_fps to the rate at '
                'which frames were extracted')
        infos = self.video_info_file and read_epic_video_info(
            self.video_info_file)
        segments = self._read_segments(infos)
        self._participants = dict(
            zip(segments.video_ids, segments.participant_ids))
        videos = self.find_videos(self._participants)
        if self.use_frames and self.is_auto:
            for video in videos:
                video['fps'] = infos[video['video_id']].frame_rate(
                    video['num_frames'])
        if infos:
            _compare_lengths(videos, infos)
        kept = np.isin(segments.video_ids, [v['video_id'] for v in videos])
        if not kept.all():
            warn(f'{len(kept) - kept.sum()} of {len(kept)} segments are left '
                 'out with their videos')
            self.left_out = segments.select(~kept)
            segments = segments.select(kept)
        self.segments = segments
        self._labels = np.stack(
            [segments.verbs, segments.nouns, segments.actions], 1)
        return videos

    def places(self, name: str) -> list[str]:
        """Where a video may be: paths from ``data_prefix``."""
        return [place.format(video=name, participant=self._participants[name])
                for place in PLACES[self.use_frames]]

    def _read_segments(self, infos: Optional[dict]) -> EpicSegments:
        options = dict(num_verbs=self.num_verbs, num_nouns=self.num_nouns,
                       **self.ann_options)
        segments = read_epic_segments(self.ann_file, videos=infos, **options)
        if not len(segments):
            raise ValueError(f'{self.ann_file!r} has no segment that can be '
                             'used. Remedy: see the warnings above')
        if not self.actions:
            return segments
        # No videos are given: the list need not be of these.
        actions = load_epic_actions(self.actions, **options)
        self._metainfo['action_pairs'] = actions.pairs.tolist()
        return segments.with_actions(actions)

    def after_the_end(self, videos: list[dict]) -> np.ndarray:
        """Which segments start after their video `ends`, (N, )."""
        ends = {v['video_id']: Clock(v).end for v in videos}
        self.ends = np.array([ends[x] for x in self.segments.video_ids])
        return self.segments.starts >= self.ends

    def names_of(self, rows: np.ndarray) -> list[str]:
        """Names of the segments that are marked, bool (N, )."""
        return np.asarray(self.segments.narration_ids, object)[rows].tolist()


def _compare_lengths(videos: list[dict], infos: dict) -> None:
    """Warns of files that are not as long as the video list says."""
    odd = []
    for video in videos:
        name, end = video['video_id'], Clock(video).end
        listed = infos[name].duration
        if abs(end - listed) > _SAME_LENGTH:
            odd.append(f'{name} ({end:.2f} s, listed {listed:.2f} s)')
    if odd:
        warn(f'{len(odd)} of {len(videos)} videos do not last as long as the '
             f'video list says: {first_names(odd)}. If they were cut or '
             'slowed down, segments and frames do not belong together')


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
      In tests a segment gets the last token that ends at ``start - tau_a`` or
      before, as ``EpicAnticipationMetric(online=True)`` has it: one pass over
      the video serves all segments. The observation ends up to a token (0.27
      s for 16x4) early, less with a ``clip_stride`` shorter than a token.

    Where there is none, the label is -1, and the token takes no part in the
    loss. Metrics use their own list of segments, so no overlapping segment
    is lost in tests.

    In anticipation a token sees no frame that begins after its end, if the
    model is causal (``MeMViT(causal=True)``): token i of clip_len / 2 sees
    sampled frames 0 to 2i + 1, and the clips before. Where clips overlap, the
    memory holds the clip before, which has seen further than the first tokens
    of a clip: these get NaN as ``token_times`` and label -1, as the earlier
    clip has answered for that time. For models that are not causal take
    :class:`EpicDataset`, where every segment has a sample of its own.

    Samples hold, beside the keys of :class:`StreamDataset`, what
    ``LoadVideoClip`` or MMAction2's ``RawFrameDecode`` need, without a
    sampling transform:

    - ``label`` (Tensor): int64 of shape (num_tokens, 3): verb, noun, action;
      -1 where not known,
    - ``token_times`` (np.ndarray): float64 of shape (num_tokens, 2): start
      and end in seconds; NaN for tokens that score nothing, such as those
      after the end of the video. Metrics need it: list it in ``meta_keys``,
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

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 clip_len: int = 16, frame_interval: int = 4,
                 sample_fps: Optional[float] = 30.,
                 clip_stride: Optional[int] = None,
                 num_tokens: Optional[int] = None, min_overlap: float = 0.5,
                 max_idle: Optional[float] = None, last_clip: str = 'pad',
                 **kwargs) -> None:
        retire(kwargs, "use EpicDataset with task='anticipation', which has a "
               'sample for every segment', anticipation_grid='grid',
               context_clips=0)
        self.grid = ClipGrid(clip_len, frame_interval, clip_stride, last_clip)
        self.sample_fps = sample_fps
        self.num_tokens = max(1, clip_len // 2) if num_tokens is None else \
            check_whole('num_tokens', num_tokens)
        self.min_overlap = min_overlap
        self.max_idle = max_idle
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    # -- planning -----------------------------------------------------------

    def plan_samples(self, videos: list[dict]) -> dict[str, np.ndarray]:
        """Divides the videos into clips: a few bytes for every clip."""
        self._sort_segments(videos)
        parts = [self._plan(i, video) for i, video in enumerate(videos)]
        counts = list(map(len, parts))
        if not any(counts):
            raise ValueError(f'no clip of {self.ann_file!r} is left. Remedy: '
                             f'raise max_idle={self.max_idle}')
        self._report(videos, sum(counts))
        return dict(
            video=np.repeat(np.arange(len(videos), dtype=np.int32), counts),
            position=np.concatenate(parts).astype(np.int32))

    def _sort_segments(self, videos: list[dict]) -> None:
        """The rows that label, by video, the preferred ones first."""
        starts, stops = self.segments.starts, self.segments.stops
        self._rows: list[np.ndarray] = []
        for video in videos:
            rows = np.sort(self.segments.rows_of(video['video_id']))
            rows = rows[np.isfinite(starts[rows] + stops[rows])]
            self._rows.append(rows[latest_first(starts[rows], stops[rows])])

    def _segments_of(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows (S, ) of the segments of a video, and their times (S, 2)."""
        rows, table = self._rows[number], self.segments
        return rows, np.stack([table.starts[rows], table.stops[rows]], 1)

    def _plan(self, number: int, video: dict) -> np.ndarray:
        """Positions of a video's clips."""
        grid, rate = self.grid, self._rate(video)
        positions = np.arange(grid.num_clips(self._grid_frames(video)))
        if self.max_idle is None:
            return positions
        starts, stops = self._segments_of(number)[1].T
        if self.task == 'anticipation':
            # The last token that ends in time answers for a segment; it ends
            # up to a token early, perhaps in the clip before, and earlier
            # still where clips leave out frames between them.
            early = (grid.span / self.num_tokens
                     + max(0, grid.clip_stride - grid.span)) / rate
            starts = starts - self.tau_a - early
            stops = stops - self.tau_a
        begins = positions * grid.clip_stride / rate
        distance = seconds_to_segments(begins, begins + grid.span / rate,
                                       starts, stops)
        return positions[distance <= self.max_idle + SAME_TIME]

    def _report(self, videos: list[dict], num: int) -> None:
        grid, segments = self.grid, self.segments
        self.summary = (
            f' of {grid.clip_len} x {grid.frame_interval} frames and '
            f'{self.num_tokens} tokens, {len(segments)} segments, for '
            f'{self.task}')
        if self.max_idle is not None:
            total = sum(grid.num_clips(self._grid_frames(v)) for v in videos)
            self.summary += (
                f'; {total - num} clips ({1 - num / total:.1%}) are left out, '
                f'more than max_idle={self.max_idle:g} s from all segments')
        late = self.names_of(self.after_the_end(videos))
        if late:
            warn(f'{len(late)} of {len(segments)} segments start after the '
                 f'end of their video: {first_names(late)}. Check the videos '
                 f'by {CHECK_EPIC}')
        empty = int((segments.starts == segments.stops).sum())
        if empty:
            log(f'{empty} segments have no length and label no token')

    # -- clips --------------------------------------------------------------

    def _rate(self, video: dict) -> float:
        """Frames per second that clip length and stride count at."""
        return self.sample_fps or video['fps']

    def _grid_frames(self, video: dict) -> int:
        """Length of a video in frames at that rate."""
        if self.sample_fps is None:
            return video['num_frames']
        return max(1, int(Clock(video).end * self.sample_fps + SAME_TIME))

    def sample_keys(self, idx: int, video: dict) -> dict:
        """Frames, tokens and labels of a clip."""
        rate, grid, clock = self._rate(video), self.grid, Clock(video)
        position = int(self.samples['position'][idx])
        start = position * grid.clip_stride / rate
        times = cut_tokens(start, grid.span / rate, self.num_tokens, clock.end)
        rows, segments = self._segments_of(int(self.samples['video'][idx]))
        if self.task == 'recognition':
            chosen = choose_by_share(times, segments, self.min_overlap)
        else:
            if position:
                # Until when the clip before has seen.
                seen = start + (grid.span - grid.clip_stride) / rate
                times[times[:, 1] <= seen + SAME_TIME] = np.nan
            chosen = choose_by_time(times[:, 1] + self.tau_a, segments)
        rows = np.append(rows, -1)[chosen]
        frames = clock.frame_at(start + np.arange(
            grid.clip_len) * grid.frame_interval / rate)
        return {
            'label': torch.from_numpy(
                np.where(rows[:, None] < 0, -1, self._labels[rows])),
            'token_times': times,
            'clip_range': (int(frames[0]), int(frames[-1])),
            'start_seconds': start,
            'frame_inds': frames + self.start_index,
            'clip_len': grid.clip_len,
            'frame_interval': grid.frame_interval,
            'num_clips': 1}
