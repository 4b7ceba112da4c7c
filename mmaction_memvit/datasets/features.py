# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Features in place of videos, and streams with a label for each."""
from collections.abc import Mapping, Sequence
from typing import Callable, Optional, Union

import numpy as np
import torch
from mmaction.registry import DATASETS
from torch import Tensor

from ..messages import data_error, tool
from ..video.feature_files import (
    FeatureFile,
    FeatureStack,
    find_feature_file,
)
from ..video.find import in_threads
from .source import Source
from .video import OnlineVideoDataset

EXTRACT_FEATURES = tool('extract_features.py')


class FeatureFiles(Source, key='feature'):
    """Files of features, a row a clip or a frame, of videos nobody opens."""

    def find(self, places: Mapping[str, Sequence[str]]) -> list[dict]:
        """The files, see :class:`Source`."""
        self._lost: dict[str, str] = {}
        self._widths: dict[str, int] = {}
        videos = in_threads(lambda x: self._look(*x), list(places.items()))
        owners: dict[tuple, str] = {}
        for name, video in zip(places, videos):
            other = owners.setdefault(video.get('feature_files', name), name)
            if other != name:
                raise data_error(
                    self.where, f'{other!r} and {name!r} would have the same '
                    f'features, {video["feature_files"][0][0]}',
                    'rename one of the videos, and extract both anew')
        # Threads end in any order; the list's first video counts.
        widths = self._widths
        first = next((x for x in places if x in widths), None)
        for name in places:
            if widths.get(name, widths.get(first)) != widths.get(first):
                raise data_error(
                    self.where, f'features of {name!r} have {widths[name]} '
                    f'channels, those of {first!r} {widths[first]}',
                    'extract all by the same model, or leave those of '
                    'another out of the list')
        return self.keep(
            videos, [self._lost.get(name, '') for name in places],
            'have no features', f'check {self.where}, extract them by '
            f'"{EXTRACT_FEATURES}"')

    def _look(self, name: str, places: Sequence[str]) -> dict:
        roots = self.dataset.data_prefix['feature']
        try:
            files = tuple(find_feature_file(root, places) for root in (
                [roots] if isinstance(roots, str) else roots))
            features = FeatureStack(files)
        except FileNotFoundError as e:
            self._lost[name] = str(e)
            return {}
        told = features.describe(
            self.dataset.fps, isinstance(self.dataset, FeatureStreamDataset))
        self._widths[name] = features.channels
        features.close()
        return dict(video_id=name, feature_files=files, **told)

    def check_samples(self, videos: Sequence[dict]) -> None:
        """Raises an error if features of clips are not of planned clips."""
        dataset = self.dataset
        grid = getattr(dataset, 'grid', None)
        told = {k: getattr(grid, k) for k in ('clip_len', 'frame_interval')
                if hasattr(grid, k)}
        numbers, firsts, counts = np.unique(
            dataset.samples['video'], return_index=True, return_counts=True)
        for number, first, count in zip(numbers, firsts, counts):
            video = videos[number]
            if video['feature_of'] != 'clip':
                continue
            features = FeatureStack(video['feature_files'])
            keys = [dataset.sample_keys(i, video)
                    for i in {first, first + count - 1}]
            if 'start_seconds' not in keys[0]:
                raise data_error(
                    str(features.files[0]), 'features of clips one after the '
                    f'other, but {type(dataset).__name__} chooses frames',
                    'OnlineVideoDataset, OnlineEpicDataset or '
                    'FeatureStreamDataset; or features one a frame, without '
                    'times')
            features.check_clips([x['start_seconds'] for x in keys], **told)
            features.close()


@DATASETS.register_module()
class FeatureStreamDataset(OnlineVideoDataset):
    """Feature files as streams, with a label for each of their rows.

    For features of one's own, and for models that score every feature (online
    action detection). A step of a stream is a clip of which rows are the
    frames. Where features stand for the clips of a video that other data sets
    know, with labels by clip, ``data_prefix=dict(feature=...)`` of these
    serves.

    Labels are, per row,

    - with ``data_prefix=dict(feature=..., label=...)`` the rows of an array of
      each video, in files found as those of features are: int (L, ), -1 where
      nothing is annotated, or float (L, num_classes), rows of zeros there;
    - with ``ann_format='segments'`` as those of clips in
      :class:`OnlineVideoDataset`;
    - with ``ann_format='video'`` that of the video.

    Samples are those of :class:`OnlineVideoDataset`, but that

    - ``label`` (Tensor) is int64 (clip_len,), -1 where nothing is annotated,
      or float (clip_len, num_classes), zeros there; padding is not annotated,
    - ``token_times`` (np.ndarray) are float64 (clip_len, 2): start and end of
      each row in seconds, NaN for padding, which scores nothing.

    Args:
        ann_file (str): List of videos, or of segments (``path start end
            label``, with ``delimiter=','`` a CSV file). With arrays of labels
            its lines hold names only.
        pipeline (list[dict | Callable]): :class:`LoadFeatureClip`, perhaps
            more, and ``PackActionInputs``.
        clip_len (int): Rows of a step. Defaults to 1.
        frame_interval (int): From one row of a step to the next. Defaults to
            1: all are used.
        short_video (str): Of fewer rows than a step. Defaults to ``'pad'``.
        **kwargs: Further arguments of :class:`OnlineVideoDataset` (``fps``:
            rows a second, where files do not tell).
    """

    more_prefixes = ('label', )

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 clip_len: int = 1, frame_interval: int = 1,
                 short_video: str = 'pad', **kwargs) -> None:
        if 'feature' not in (kwargs.get('data_prefix') or ()):
            raise ValueError(
                f"data_prefix={kwargs.get('data_prefix')} must be "
                'dict(feature=...), perhaps with label=...')
        super().__init__(ann_file, pipeline=pipeline, clip_len=clip_len,
                         frame_interval=frame_interval,
                         short_video=short_video, **kwargs)

    def needs_label(self) -> bool:
        """Whether every video of the list must have a label."""
        return 'label' not in self.data_prefix and super().needs_label()

    def load_videos(self) -> list[dict]:
        """Reads the list, looks for features and labels."""
        videos = super().load_videos()
        if 'label' in self.data_prefix:
            for video in videos:
                video['label_file'] = self.find_labels(
                    video, self.data_prefix['label'], self.num_classes)
        return videos

    def find_labels(self, video: dict, folder: str,
                    num_classes: Optional[int]) -> tuple[str, str]:
        """File of the labels of a video, after a look at what it holds."""
        try:
            place = find_feature_file(folder, [video['video_id']])
        except FileNotFoundError as e:
            raise data_error(
                folder, f'there are no labels of {video["video_id"]!r}, as '
                f'{e} does not exist', 'check the folder; a file a video is '
                'needed, .npy or .npz', FileNotFoundError) from e
        file = FeatureFile(*place)
        shape, num = tuple(file.rows.shape), video['num_frames']
        if len(file) != num or (num_classes is not None and shape[1:] not in (
                (), (num_classes, ))):
            raise data_error(
                str(file), f'labels of shape {shape} for {num} features of '
                f'{video["feature_files"][0][0]} and num_classes='
                f'{num_classes}', 'one label a feature: cut the longer one, '
                'resample labels to the rate of the features, or correct '
                'num_classes')
        if len(shape) == 1:
            values = np.asarray(file.rows[:])
            odd = values[values % 1 != 0]
            if len(odd):
                raise data_error(
                    str(file), f'labels such as {odd[0]}', 'whole numbers, -1 '
                    'for none; shares of classes are (L, num_classes)')
        file.close()
        return place

    def labelled_spans(self, video: dict) -> np.ndarray:
        """Start and end in seconds of all that has a label, (L, 2): rows."""
        return self.times_of(video, np.arange(video['num_frames']))

    def sample_keys(self, idx: int, video: dict) -> dict:
        """Rows and labels of a step."""
        keys = self.clip_keys(int(self.samples['position'][idx]), video)
        rows = keys['frame_inds']
        times = self.times_of(video, rows)
        padding = np.append(False, rows[1:] == rows[:-1])
        labels = self.labels_of(video, rows)
        labels[torch.from_numpy(padding)] = (
            0 if labels.is_floating_point() else -1)
        return {
            **keys,
            'label': labels,
            'token_times': np.where(padding[:, None], np.nan, times),
            'start_seconds': float(times[0, 0]),
            'segment_id': ''}

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
        labels = self.labels_at(video, self.times_of(video, rows))
        if not self.multi_class:
            return torch.tensor(labels)
        out = torch.zeros(len(labels), self.num_classes)
        for row, own in zip(out, labels):
            row[list(own)] = 1
        return out
