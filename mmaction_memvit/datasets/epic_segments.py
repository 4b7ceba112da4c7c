# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""EPIC-KITCHENS-100: segments as samples."""
from typing import Callable, Optional, Union

import numpy as np
from mmaction.registry import DATASETS

from ..messages import check_choice, first_names, log, warn
from .epic import CHECK_EPIC, EpicVideoDataset
from .grid import SAME_TIME, Clock, latest_first


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
