# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""EPIC-KITCHENS-100: videos with segments, and segments as samples."""
from collections.abc import Sequence
from typing import Callable, Optional, Union

import numpy as np
from mmaction.registry import DATASETS

from ..annotations.epic import (
    NUM_NOUNS,
    NUM_VERBS,
    EpicSegments,
    read_epic_segments,
)
from ..annotations.epic_lists import (
    EpicVideo,
    load_epic_actions,
    read_epic_video_info,
)
from ..messages import check_choice, first_names, log, tool, warn
from .grid import SAME_TIME, Clock, latest_first
from .source import NamedVideoDataset

CHECK_EPIC = tool('data/epic100/check_epic.py')
#: Where downloads put the files of a video, under the folder of all videos.
PLACES = {
    False: ('{participant}/{video}', '{video}',
            '{participant}/videos/{video}'),
    True: ('{participant}/{video}', '{video}',
           '{participant}/rgb_frames/{video}'),
}
# Rates at which the frames that can be downloaded were extracted, whatever
# the exact rate of the video.
NOMINAL_RATES = (60., 50.)
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
        self.actions = actions
        self.num_verbs = num_verbs
        self.num_nouns = num_nouns
        self.ann_options = dict(ann_options or {})
        self.is_auto = frame_fps == 'auto'
        #: EpicSegments: The segments, of videos that are used.
        self.segments: Optional[EpicSegments] = None
        super().__init__(ann_file, pipeline=pipeline,
                         fps=None if self.is_auto else frame_fps, **kwargs)

    def _join_prefix(self) -> None:
        super()._join_prefix()
        self.video_info_file = self._join_root(self.video_info_file)
        if isinstance(self.actions, str):
            self.actions = self._join_root(self.actions)
        elif self.actions is not None:
            self.actions = [self._join_root(path) for path in self.actions]

    def load_videos(self) -> list[dict]:
        """Reads the segments and looks for the videos."""
        if self.use_frames and self.is_auto and not self.video_info_file:
            raise ValueError(
                "frame folders with frame_fps='auto' need a video_info_file, "
                'EPIC_100_video_info.csv; or set frame_fps to the rate at '
                'which frames were extracted')
        infos = None
        if self.video_info_file is not None:
            infos = read_epic_video_info(self.video_info_file)
        segments = self._read_segments(infos)
        self._participants = dict(
            zip(segments.video_ids, segments.participant_ids))
        videos = self.find_videos(self._participants)
        if self.use_frames and self.is_auto:
            for video in videos:
                video['fps'] = frame_rate(video['num_frames'],
                                          infos[video['video_id']])
        if infos is not None:
            _compare_lengths(videos, infos)
        there = {v['video_id'] for v in videos}
        kept = np.asarray([v in there for v in segments.video_ids])
        if not kept.all():
            warn(f'{len(kept) - kept.sum()} of {len(kept)} segments are left '
                 'out with their videos')
            segments = segments.select(kept)
        self.segments = segments
        self._labels = np.stack(
            [segments.verbs, segments.nouns, segments.actions], 1)
        return videos

    def places(self, name: str) -> list[str]:
        """Where a video may be: paths from ``data_prefix``."""
        return [place.format(video=name, participant=self._participants[name])
                for place in PLACES[self.use_frames]]

    def _read_segments(self, infos: Optional[dict[str, EpicVideo]]
                       ) -> EpicSegments:
        options = dict(num_verbs=self.num_verbs, num_nouns=self.num_nouns,
                       **self.ann_options)
        segments = read_epic_segments(self.ann_file, videos=infos, **options)
        if not len(segments):
            raise ValueError(f'{self.ann_file!r} has no segment that can be '
                             'used. Remedy: see the warnings above')
        if self.actions is None:
            return segments
        # No videos are given: the list need not be of these.
        actions = load_epic_actions(self.actions, **options)
        self._metainfo['action_pairs'] = actions.pairs.tolist()
        return segments.with_actions(actions)

    def after_the_end(self, videos: list[dict]) -> np.ndarray:
        """Which segments start after the end of their video, (N, )."""
        ends = {v['video_id']: Clock(v).end for v in videos}
        return self.segments.starts >= np.asarray(
            [ends[name] for name in self.segments.video_ids])

    def names_of(self, rows: np.ndarray) -> list[str]:
        """Names of the segments that are marked, bool (N, )."""
        return np.asarray(self.segments.narration_ids, object)[rows].tolist()


def frame_rate(num_frames: int, info: EpicVideo) -> float:
    """At which rate the frames of a folder were probably extracted.

    It is that of the video, 60 or 50, by which the frames last most nearly as
    long as the video list says.
    """
    return min((info.fps, *NOMINAL_RATES),
               key=lambda rate: abs(num_frames / rate - info.duration))


def _compare_lengths(videos: list[dict], infos: dict[str, EpicVideo]) -> None:
    """Warns of files that are not as long as the video list says."""
    odd = []
    for video in videos:
        seconds = Clock(video).end
        listed = infos[video['video_id']].duration
        if abs(seconds - listed) > _SAME_LENGTH:
            odd.append(f"{video['video_id']} ({seconds:.2f} s, listed "
                       f'{listed:.2f} s)')
    if odd:
        warn(f'{len(odd)} of {len(videos)} videos do not last as long as the '
             f'video list says: {first_names(odd)}. If they were cut or '
             'slowed down, segments and frames do not belong together')


@DATASETS.register_module()
class EpicDataset(EpicVideoDataset):
    """Annotated segments as samples, for pipelines of MMAction2.

    A sample looks as if its segment were a whole video: ``total_frames`` is
    the length of the segment and ``start_index`` its first frame, so that
    ``SampleFrames``, ``UniformSample`` and the like stay within it. Videos
    are read by ``LoadVideoClip`` after these, or by ``DecordInit``, or its
    like, and :class:`TrimToSegment` before them and ``DecordDecode`` after;
    frame folders by ``RawFrameDecode``.

    Samples hold, beside the keys of :class:`StreamDataset`, of which
    ``timestamp`` is the number of the segment in its video, by time:

    - ``label`` (np.ndarray): int64 of shape (3, ): verb, noun, action; -1
      where not known,
    - ``narration_id`` (str): names the segment; metrics need it, so list it
      in the ``meta_keys`` of ``PackActionInputs``,
    - ``segment_frames`` (tuple[int]): first and last frame of the segment,
      from 0, inclusive; ``first_number`` (int): what frame 0 is called.

    With ``task='anticipation'`` what is seen is not the segment but the
    ``observed`` seconds that end ``tau_a`` before it; no frame begins later.
    Segments before which nothing can be seen are left out; the metric counts
    them as missed. Sample clips that fill ``observed``, as ``SampleFrames``
    draws the place of shorter ones, or by :class:`SampleObservedFrames`.
    Samples then also hold ``segment_times``, float64 (S, 2), and
    ``segment_labels``, int64 (S, 3), of what is going on meanwhile, what has
    started last first.

    Args:
        ann_file (str): List of segments.
        pipeline (list[dict | Callable]): The transforms.
        observed (float, optional): For anticipation, which needs it: seconds
            that are observed at most. Defaults to None.
        outside_video (str): What to do with segments that start after the
            end of their video: ``'keep'`` (they show its last frame),
            ``'skip'`` (both with a warning) or ``'error'``. Defaults to
            ``'keep'``, so that tests cover all segments.
        **kwargs: Further arguments of :class:`EpicVideoDataset`.
    """

    sample_kind = 'segment'
    batch_sampler = None

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 observed: Optional[float] = None, outside_video: str = 'keep',
                 **kwargs) -> None:
        check_choice('outside_video', outside_video, ('keep', 'skip', 'error'))
        if kwargs.get('task') != 'anticipation':
            if observed is not None:
                raise ValueError(f'observed={observed} is for '
                                 "task='anticipation' only; leave it out")
        elif observed is None or not 0 < observed < np.inf:
            raise ValueError(f'observed={observed} must be a number of '
                             "seconds above 0 for task='anticipation'")
        self.observed = observed
        self.outside_video = outside_video
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    def plan_samples(self, videos: list[dict]) -> dict[str, np.ndarray]:
        """One sample for every segment, in the order of the list."""
        segments = self.segments
        rank = np.zeros(len(segments), np.int32)
        for rows in segments.rows_by_video.values():
            rank[rows] = np.arange(len(rows))
        unknown = ~np.isfinite(segments.starts + segments.stops)
        early = segments.starts - self.tau_a <= SAME_TIME
        usable = self._inside(videos)
        for reason, mask in (
            ('have no times', unknown),
            (f'start less than {self.tau_a:g} s after the start of their '
             'video, so that there is nothing to observe',
             early & (self.task == 'anticipation'))):
            names = self.names_of(mask)
            if names:
                log(f'{len(names)} segments {reason}; they are left out: '
                    f'{first_names(names)}')
            usable &= ~mask
        self.summary = f', for {self.task}'
        rows = np.flatnonzero(usable).astype(np.int32)
        if not len(rows):
            raise ValueError(f'no segment of {self.ann_file!r} is left. '
                             'Remedy: see the messages above')
        number = {v['video_id']: i for i, v in enumerate(videos)}
        video = np.asarray([number[v] for v in segments.video_ids], np.int32)
        return dict(video=video[rows], position=rank[rows], row=rows)

    def _inside(self, videos: list[dict]) -> np.ndarray:
        """Which segments are used, by when they start."""
        late = self.after_the_end(videos)
        names = self.names_of(late)
        if not names:
            return ~late
        text = (f'{len(names)} of {len(late)} segments of {self.ann_file!r} '
                f'start after the end of their video: {first_names(names)}')
        if self.outside_video == 'error':
            raise ValueError(f'{text}. Remedy: check the videos by '
                             f"{CHECK_EPIC}, or set outside_video='keep' or "
                             "'skip'")
        keep = self.outside_video == 'keep'
        warn(f'{text}; they '
             + ('show its last frame' if keep else 'are left out'))
        return ~late | keep

    def describe_sample(self, info: dict) -> str:
        """The segment of a sample, for error messages."""
        return (f"segment {info['narration_id']!r} "
                f'({super().describe_sample(info)})')

    def _frames_of(self, row: int, video: dict) -> tuple[int, int]:
        """First and last frame that a sample may show."""
        start, stop = self.segments.starts[row], self.segments.stops[row]
        if self.task == 'recognition':
            return Clock(video).frames_within(start, stop)
        # The last frame that begins when the observation ends, or before.
        last = Clock(video).frame_at(start - self.tau_a)
        num = max(1, round(self.observed * video['fps']))
        return max(0, last + 1 - num), last

    def sample_keys(self, idx: int, video: dict) -> dict:
        """Frames and labels of a segment."""
        row = int(self.samples['row'][idx])
        first, last = self._frames_of(row, video)
        observed = {}
        if self.task == 'anticipation':
            observed = self._observed(first, last, video)
        return {
            **observed,
            'label': self._labels[row].copy(),
            'narration_id': self.segments.narration_ids[row],
            'segment_frames': (first, last),
            'first_number': self.start_index,
            'start_index': self.start_index + first,
            'total_frames': last - first + 1}

    def _observed(self, first: int, last: int, video: dict) -> dict:
        """Segments that go on while these frames are shown."""
        segments, clock = self.segments, Clock(video)
        rows = segments.rows_of(video['video_id'])
        times = np.stack([segments.starts[rows], segments.stops[rows]], 1)
        # Comparisons with NaN are false.
        shown = ((times[:, 1] > clock.seconds_at(first))
                 & (times[:, 0] <= clock.seconds_at(last) + SAME_TIME))
        rows, times = rows[shown], times[shown]
        order = latest_first(*times.T)
        return {'segment_times': times[order],
                'segment_labels': self._labels[rows[order]]}
