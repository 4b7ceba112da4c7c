# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Trimmed segments of EPIC-KITCHENS-100 for any recognizer."""
import logging
import os.path as osp
from typing import Callable, Optional, Union

import numpy as np
from mmaction.registry import DATASETS
from mmengine.dataset import force_full_init
from mmengine.logging import print_log

from mmaction_memvit.annotations.epic_segments import EpicSegments
from mmaction_memvit.annotations.epic_times import (
    last_observed_frame,
    segment_frames,
)

from ..video.index import first_names
from .epic_base import EpicVideoDataset, check_task
from .source_options import check_choice
from .video_files import leave_out


@DATASETS.register_module()
class EpicDataset(EpicVideoDataset):
    """Annotated segments as samples, for pipelines of MMAction2.

    A sample looks as if its segment were a whole video: ``total_frames`` is
    the length of the segment and ``start_index`` its first frame, so that
    ``SampleFrames``, ``UniformSample`` and the like stay within it. Videos
    are read by ``LoadVideoClip`` (no other transform is needed), or by
    ``DecordInit`` or its like followed by :class:`TrimToSegment`; frame
    folders by ``RawFrameDecode``::

        [dict(type='SampleFrames', clip_len=32, frame_interval=2),
         dict(type='LoadVideoClip'), ...]

        [dict(type='DecordInit'), dict(type='TrimToSegment'),
         dict(type='SampleFrames', clip_len=32, frame_interval=2),
         dict(type='DecordDecode'), ...]

    Samples hold these keys:

    - ``filename`` of the video, or ``frame_dir`` and ``filename_tmpl``,
    - ``label`` (np.ndarray): int64 of shape (3, ): verb, noun, action; -1
      where not known,
    - ``narration_id`` (str): names the segment; metrics need it, so list it
      in the ``meta_keys`` of ``PackActionInputs``,
    - ``video_id`` (str), ``timestamp`` (int): the video, and the number of
      the segment in it, in order of time,
    - ``segment_frames`` (tuple[int]): first and last frame of the segment,
      from 0, inclusive,
    - ``total_frames``, ``start_index`` (ints): see above,
    - ``first_number`` (int): what the first frame of the video is called, 0
      for videos,
    - ``fps``, ``avg_fps`` (float): rate of the video or of the frames, for
      ``SampleFrames(target_fps=...)``,
    - ``modality``, ``sample_idx``, ``epoch``, ``aug_seed``.

    With ``task='anticipation'`` what is seen is not the segment but the
    ``observed`` seconds that end ``tau_a`` before it; no frame begins later.
    Segments before which nothing can be seen are left out and counted; the
    metric counts them as missed. Sample clips that fill ``observed``, as
    ``SampleFrames`` draws the place of shorter ones.

    A segment that cannot be read in training is reported once for its video
    and another one takes its place, see :class:`StreamDataset`.

    Args:
        ann_file (str): List of segments.
        pipeline (list[dict | Callable]): The transforms.
        task (str): ``'recognition'`` or ``'anticipation'``. Defaults to
            ``'recognition'``.
        tau_a (float): For anticipation: seconds from the last observation to
            the segment. Defaults to 1.
        observed (float, optional): For anticipation, which needs it: seconds
            that are observed at most. Defaults to None.
        outside_video (str): What to do with segments that start after the
            end of their video: ``'keep'`` (they show its last frame),
            ``'skip'`` (both with a warning) or ``'error'``. Defaults to
            ``'keep'``, so that tests cover all segments.
        **kwargs: All further arguments of :class:`EpicVideoDataset`.

    Raises:
        FileNotFoundError: If files or videos do not exist.
        ValueError: If an argument is out of range, a list has another form,
            or files do not fit each other.
    """

    sample_arrays = (*EpicVideoDataset.sample_arrays, '_sample_row')
    sample_kind = 'segment'
    batch_sampler = None

    def __init__(self,
                 ann_file: str,
                 pipeline: list[Union[dict, Callable]],
                 task: str = 'recognition',
                 tau_a: float = 1.,
                 observed: Optional[float] = None,
                 outside_video: str = 'keep',
                 **kwargs) -> None:
        check_task(task, tau_a)
        check_choice('outside_video', outside_video,
                     ('keep', 'skip', 'error'))
        if task == 'anticipation' and not (observed is not None
                                           and 0 < observed < np.inf):
            raise ValueError(f'observed={observed} must be a number of '
                             "seconds above 0 for task='anticipation'")
        if task == 'recognition' and observed is not None:
            raise ValueError(f'observed={observed} is for '
                             "task='anticipation' only; leave it out")
        self.task = task
        self.tau_a = tau_a
        self.observed = observed
        self.outside_video = outside_video
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    def plan_samples(self, videos: list[dict],
                     segments: EpicSegments) -> None:
        """One sample for every segment, in the order of the list."""
        number = {v['video_id']: i for i, v in enumerate(videos)}
        video = np.asarray([number[v] for v in segments.video_ids])
        rank = np.zeros(len(segments), np.int64)
        for rows in segments.rows_by_video.values():
            rank[rows] = np.arange(len(rows))
        starts = segments.starts
        # Segments without known times cannot be shown.
        usable = np.isfinite(starts + segments.stops)
        what = {'have no times': ~usable}
        if self.task == 'anticipation':
            unseen = starts - self.tau_a <= 1e-6
            what[f'start less than {self.tau_a:g} s after the start of their '
                 'video, so that there is nothing to observe'] = unseen
            usable &= ~unseen
        ends = np.asarray([v['num_frames'] / v['fps'] for v in videos])[video]
        outside = starts >= ends
        if outside.any():
            names = [segments.narration_ids[i]
                     for i in np.flatnonzero(outside)]
            text = (f'{len(names)} of {len(segments)} segments of '
                    f'{self.ann_file!r} start after the end of their video: '
                    f'{first_names(names)}')
            if self.outside_video == 'keep':
                print_log(
                    f'{text}; they show its last frame',
                    logger='current',
                    level=logging.WARNING)
            else:
                usable &= ~leave_out(
                    names, outside, self.outside_video, ValueError, text,
                    'check the videos by '
                    'tools/data/epic100/check_epic.py, or set '
                    "outside_video='keep' or 'skip'")
        for reason, mask in what.items():
            if mask.any():
                names = [segments.narration_ids[i]
                         for i in np.flatnonzero(mask)]
                print_log(
                    f'{len(names)} segments {reason}; they are left out: '
                    f'{first_names(names)}',
                    logger='current')
        rows = np.flatnonzero(usable)
        if not len(rows):
            raise ValueError(f'no segment of {self.ann_file!r} is left. '
                             'Remedy: see the messages above')
        self.set_samples([v['video_id'] for v in videos],
                         _clip_video=video[rows].astype(np.int32),
                         _clip_position=rank[rows].astype(np.int32),
                         _sample_row=rows.astype(np.int32))
        print_log(
            f'{osp.basename(self.ann_file)}: {len(rows)} segments of '
            f'{len(videos)} videos, for {self.task}',
            logger='current')

    def describe_sample(self, info: dict) -> str:
        """The segment of a sample, for error messages."""
        return (f"segment {info['narration_id']!r} "
                f'({super().describe_sample(info)})')

    def _frames_of(self, row: int, video: dict) -> tuple[int, int]:
        """First and last frame that a sample may show."""
        fps, num_frames = video['fps'], video['num_frames']
        start, stop = self.segments.starts[row], self.segments.stops[row]
        if self.task == 'recognition':
            return segment_frames(start, stop, fps, num_frames)
        last = last_observed_frame(start, fps, self.tau_a)
        first = max(0, last + 1 - max(1, round(self.observed * fps)))
        return min(first, num_frames - 1), min(last, num_frames - 1)

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """What the pipeline gets for a segment.

        Args:
            idx (int): Number of the sample.

        Returns:
            dict: The keys that the class describes.
        """
        idx = range(len(self))[idx]
        row = int(self._sample_row[idx])
        video = self.get_video_info(int(self._clip_video[idx]))
        first, last = self._frames_of(row, video)
        return {
            **self.sample_info(idx),
            **self._source_of(video),
            'label': self._labels[row].copy(),
            'narration_id': self.segments.narration_ids[row],
            'segment_frames': (first, last),
            'first_number': self.start_index,
            'start_index': self.start_index + first,
            'total_frames': last - first + 1,
            'fps': video['fps'],
            'avg_fps': video['fps'],
        }
