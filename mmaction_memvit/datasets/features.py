# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Streams of features with a label for each."""
from collections.abc import Sequence
from typing import Callable, Optional, Union

import numpy as np
import torch
from mmaction.registry import DATASETS
from torch import Tensor

from ..messages import data_error
from ..video.feature_files import FeatureFile, find_feature_file
from .grid import ClipGrid, choose_by_share, shared_time
from .video import ListedVideoDataset


@DATASETS.register_module()
class FeatureStreamDataset(ListedVideoDataset):
    """Feature files as streams, with a label for each of their rows.

    For features of one's own, and for models that score every feature (online
    action detection). A step of a stream is ``clip_len`` rows, and what
    follows the last full step is padded with its last row. Where features
    stand for the clips of a video that other data sets know, with labels by
    clip, ``data_prefix=dict(feature=...)`` of these serves.

    Labels are, per row,

    - with ``data_prefix=dict(feature=..., label=...)`` the rows of an array of
      each video, in files found as those of features are: int (L, ), -1 where
      nothing is annotated, or float (L, num_classes), rows of zeros there;
    - with ``ann_format='segments'`` that of the segment which it shares most
      time with, provided that this is ``min_overlap`` of the row or of the
      segment; with ``multi_class`` of all such;
    - with ``ann_format='video'`` that of the video.

    Samples hold, beside the keys of :class:`StreamDataset`, what
    :class:`LoadFeatureClip` needs, and

    - ``label`` (Tensor): int64 (clip_len, ), -1 where nothing is annotated,
      or float (clip_len, num_classes), zeros there; padding is not annotated,
    - ``token_times`` (np.ndarray): float64 (clip_len, 2): start and end of
      each row in seconds, NaN for padding, which scores nothing,
    - ``frame_inds`` (np.ndarray): int64 (clip_len, ): the rows,
    - ``clip_range`` (tuple[int]): first and last row, ``start_seconds``
      (float), ``segment_id`` (''),
    - ``clip_len``, ``frame_interval``, ``num_clips`` (1).

    Args:
        ann_file (str): List of videos, or of segments (``path start end
            label``, with ``delimiter=','`` a CSV file). With arrays of labels
            its lines hold names only.
        pipeline (list[dict | Callable]): :class:`LoadFeatureClip`, perhaps
            more, and ``PackActionInputs``.
        clip_len (int): Rows of a step. Defaults to 1.
        frame_interval (int): From one row of a step to the next. Defaults to
            1: all are used.
        clip_stride (int, optional): Rows from the start of a step to the start
            of the next. Defaults to None: clip_len * frame_interval.
        last_clip (str): As in :class:`OnlineVideoDataset`. Defaults to
            ``'pad'``.
        min_overlap (float): See above, in (0, 1]. Defaults to 0.5.
        **kwargs: Further arguments of :class:`ListedVideoDataset` (``fps``:
            rows a second, where files do not tell) and
            :class:`StreamDataset`.
    """

    more_prefixes = ('label', )
    rows_are_frames = True

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 clip_len: int = 1, frame_interval: int = 1,
                 clip_stride: Optional[int] = None, last_clip: str = 'pad',
                 min_overlap: float = 0.5, **kwargs) -> None:
        self.grid = ClipGrid(clip_len, frame_interval, clip_stride, last_clip)
        self.min_overlap = min_overlap
        if 'feature' not in (kwargs.get('data_prefix') or ()):
            raise ValueError(
                f"data_prefix={kwargs.get('data_prefix')} must be "
                'dict(feature=...), perhaps with label=...')
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    def needs_label(self) -> bool:
        """Whether every video of the list must have a label."""
        return 'label' not in self.data_prefix and super().needs_label()

    def load_videos(self) -> list[dict]:
        """Reads the list, looks for features and labels."""
        videos = super().load_videos()
        if 'label' in self.data_prefix:
            for video in videos:
                video['label_file'] = self._find_labels(video)
        return videos

    def _find_labels(self, video: dict) -> tuple[str, str]:
        """File of the labels of a video, after a look at their number."""
        place = find_feature_file(self.data_prefix['label'],
                                  [video['video_id']])
        file = FeatureFile(*place)
        if len(file) != video['num_frames']:
            raise data_error(
                str(file), f'{len(file)} labels for {video["num_frames"]} '
                f'features of {video["feature_files"][0][0]}',
                'one label a feature: cut the longer one, or resample labels '
                'to the rate of the features')
        shape, num = tuple(file.rows.shape), self.num_classes
        if num is not None and len(shape) == 2 and shape[1] != num:
            raise data_error(str(file), f'labels of shape {shape}, but '
                             f'num_classes={num}', 'correct either')
        if len(shape) == 1:
            values = np.asarray(file.rows[:])
            odd = values[values % 1 != 0]
            if len(odd):
                raise data_error(
                    str(file), f'labels such as {odd[0]}', 'whole numbers, -1 '
                    'for none; shares of classes are (L, num_classes)')
        file.close()
        return place

    def plan_samples(self, videos: list[dict]) -> dict[str, np.ndarray]:
        """Divides the streams into steps."""
        video, position = self.grid.plan([v['num_frames'] for v in videos])
        self.summary = f' of {self.grid.clip_len} features'
        return dict(video=video, position=position)

    def sample_keys(self, idx: int, video: dict) -> dict:
        """Rows and labels of a step."""
        grid, num = self.grid, video['num_frames']
        position = int(self.samples['position'][idx])
        rows = grid.frame_inds(position, num)
        times = self.times_of(video, rows)
        padding = np.append(False, rows[1:] == rows[:-1])
        labels = self.labels_of(video, rows)
        labels[torch.from_numpy(padding)] = (
            0 if labels.is_floating_point() else -1)
        return {
            'label': labels,
            'token_times': np.where(padding[:, None], np.nan, times),
            'clip_range': (int(rows[0]), int(rows[-1])),
            'start_seconds': float(times[0, 0]),
            'segment_id': '',
            'frame_inds': rows,
            'clip_len': grid.clip_len,
            'frame_interval': grid.frame_interval,
            'num_clips': 1}

    def times_of(self, video: dict, rows: np.ndarray) -> np.ndarray:
        """Start and end of rows in seconds, float64 (T, 2)."""
        edges = np.stack([rows, rows + 1], 1)
        if 'times' not in video:
            return edges / video['fps']
        times = video['times']
        return np.append(times, times[-1] + 1 / video['fps'])[edges]

    def labels_of(self, video: dict, rows: np.ndarray) -> Tensor:
        """Labels of rows of a video: (T, ) int64, or (T, num_classes) float.

        Here data sets that read other annotations differ.
        """
        if 'label_file' in video:
            file = FeatureFile(*video['label_file'])
            labels = file.read(rows)
            file.close()
            return torch.from_numpy(labels.astype(
                np.int64 if labels.ndim == 1 else np.float32))
        if self.ann_format == 'segments':
            return self._labels_by_time(video, self.times_of(video, rows))
        return self._many_hot([video['label']] * len(rows))

    def _labels_by_time(self, video: dict, spans: np.ndarray) -> Tensor:
        segments = video['segments']
        times = np.reshape([x[:2] for x in segments], (-1, 2))
        if not self.multi_class:
            chosen = choose_by_share(spans, times, self.min_overlap)
            labels = [segments[k][2] if k >= 0 else () for k in chosen]
            return torch.tensor([x[0] if x else -1 for x in labels])
        found: list[list[int]] = [[] for _ in spans]
        for row, k, _ in zip(*shared_time(spans, times, self.min_overlap)):
            found[row] += segments[k][2]
        return self._many_hot(found)

    def _many_hot(self, labels: Sequence) -> Tensor:
        if not self.multi_class:
            return torch.tensor(labels)
        out = torch.zeros(len(labels), self.num_classes)
        for row, own in zip(out, labels):
            row[list(own)] = 1
        return out
