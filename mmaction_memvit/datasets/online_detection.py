# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Benchmarks of online action detection, over features or videos."""
from typing import Callable, Optional, Union

import numpy as np
import torch
from mmaction.registry import DATASETS
from torch import Tensor

from ..annotations.online_detection import (
    BENCHMARKS,
    VideoActions,
    read_actions,
    read_video_names,
    targets_at,
)
from ..messages import check_choice, data_error, first_names, warn
from ..video.feature_files import FeatureFile
from .features import FeatureStreamDataset
from .grid import Clock, cut_tokens
from .video import ListedVideoDataset, OnlineVideoDataset

_NOTHING = VideoActions(np.zeros(0, np.int64), np.zeros((0, 2)))


class BenchmarkDataset(ListedVideoDataset):
    """Videos of a benchmark, and what goes on in them.

    Labels are shares of classes, float (T, num_classes): of several classes
    that go on at once each has its part; zeros where nothing is annotated or
    what is seen is ambiguous, which neither loss nor metric counts.

    Args:
        ann_file (str): ``data_info.json`` of LSTR or TeSTra, which lists the
            videos.
        pipeline (list[dict | Callable]): The transforms.
        benchmark (str): 'thumos14', 'tvseries' or 'epic100'.
        split (str): 'train' or 'test'.
        actions (str, optional): Folder of the official lists of actions of
            THUMOS14 or TVSeries, see :func:`read_actions`. Defaults to None.
        **kwargs: Further arguments of the data set.
    """

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 benchmark: str, split: str, actions: Optional[str] = None,
                 **kwargs) -> None:
        check_choice('benchmark', benchmark, tuple(BENCHMARKS))
        self.benchmark = benchmark
        self.split = split
        self.actions = actions
        self._actions: dict[str, VideoActions] = {}
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    def _join_prefix(self) -> None:
        super()._join_prefix()
        self.actions = self._join_root(self.actions)

    def read_rows(self) -> dict[str, dict]:
        """The names of the videos."""
        names = read_video_names(self.ann_file, self.benchmark, self.split)
        if self.actions is not None:
            self._actions = read_actions(self.actions, self.benchmark,
                                         self.split)
            if not self._actions.keys() & set(names):
                raise data_error(
                    repr(self.actions), 'its videos are '
                    f'{first_names(self._actions)}, none of the '
                    f'{len(names)} {self.split} videos of {self.ann_file}',
                    'the lists must be those of the benchmark and split')
        return {name: {} for name in names}

    def load_videos(self) -> list[dict]:
        """Reads the names, looks for the videos and checks the actions."""
        videos = super().load_videos()
        late = [v['video_id'] for v in videos if (
            self._actions.get(v['video_id'], _NOTHING).times[:, 0] >=
            v['num_frames'] / v['fps']).any()]
        if late:
            warn(f'{len(late)} of {len(videos)} videos have actions after '
                 f'their end, as a few of THUMOS14 do: {first_names(late)}. '
                 'Remedy, if these are many: check the rate, fps')
        return videos

    def shares_at(self, video: dict, instants: np.ndarray) -> Tensor:
        """Labels at instants (T, ), of the official lists."""
        return self.as_shares(targets_at(
            self._actions.get(video['video_id'], _NOTHING), instants,
            len(BENCHMARKS[self.benchmark].names)))

    def as_shares(self, targets: np.ndarray) -> Tensor:
        """Labels (T, C) of targets, zeros and ones."""
        shares = torch.from_numpy(targets.astype(np.float32))
        ambiguous = BENCHMARKS[self.benchmark].ambiguous
        if ambiguous is not None:
            shares[shares[:, ambiguous] > 0] = 0
        return shares / shares.sum(1, keepdim=True).clamp(min=1)


@DATASETS.register_module()
class OnlineDetectionDataset(BenchmarkDataset, FeatureStreamDataset):
    """Features of a benchmark of online action detection, as streams.

    Samples are those of :class:`FeatureStreamDataset`, labels those of
    :class:`BenchmarkDataset`. These are read from published ``targets``, or
    made of ``actions``: what goes on in the middle of each feature.

    Args:
        ann_file (str): ``data_info.json`` of LSTR or TeSTra.
        pipeline (list[dict | Callable]): :class:`LoadFeatureClip`, and
            ``PackActionInputs``.
        targets (str | list[str], optional): Folder of published targets, a
            .npy a video, (L, C) of zeros and ones; or several, of the tasks
            of a :class:`MultiTaskHead` in its ``label_order``, whose labels
            are put side by side. Defaults to None: ``actions`` are given.
        fps (float): Features a second, where files do not tell. Defaults to
            4: of chunks of 6 frames at 24 a second.
        **kwargs: Further arguments of :class:`FeatureStreamDataset` and
            :class:`BenchmarkDataset`.
    """

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 targets: Union[str, list[str], None] = None, fps: float = 4.,
                 **kwargs) -> None:
        if (targets is None) == (kwargs.get('actions') is None):
            raise ValueError(
                f'targets={targets!r} and actions={kwargs.get("actions")!r}: '
                'one of the two must be given')
        self.targets = [targets] if isinstance(targets, str) else targets
        super().__init__(ann_file, pipeline=pipeline, fps=fps, **kwargs)

    def _join_prefix(self) -> None:
        super()._join_prefix()
        self.targets = [self._join_root(x) for x in self.targets or ()]

    def load_videos(self) -> list[dict]:
        """Reads the names, looks for features and labels."""
        videos = super().load_videos()
        num = len(BENCHMARKS[self.benchmark].names) or None
        for video in videos if self.targets else ():
            video['target_files'] = [self.find_labels(video, folder, num)
                                     for folder in self.targets]
        return videos

    def labels_of(self, video: dict, rows: np.ndarray) -> Tensor:
        """Shares of classes of some rows, (T, num_classes)."""
        if self.actions is not None:
            return self.shares_at(video, self.times_of(video, rows).mean(1))
        parts = []
        for place in video['target_files']:
            file = FeatureFile(*place)
            targets = file.read(rows)
            file.close()
            if targets.ndim != 2 or ((targets != 0) & (targets != 1)).any():
                raise data_error(
                    str(file), f'targets {tuple(targets.shape)} from '
                    f'{targets.min()} to {targets.max()}, but they are zeros '
                    'and ones by class', 'take target_perframe/, not features')
            parts.append(self.as_shares(targets))
        return torch.cat(parts, 1)


@DATASETS.register_module()
class OnlineDetectionVideoDataset(BenchmarkDataset, OnlineVideoDataset):
    """Videos of a benchmark of online action detection, as streams of clips.

    Or frame folders, with ``data_prefix=dict(img=...)``, their rate ``fps``
    and MMAction2's ``RawFrameDecode``.

    Samples are those of :class:`OnlineVideoDataset`, but that each of
    ``num_tokens`` temporal tokens of a clip has a label, that of its middle,
    see :class:`BenchmarkDataset`; ``token_times`` are start and end of these
    in seconds, float64 (num_tokens, 2), NaN after the end of the video.

    Args:
        ann_file (str): ``data_info.json`` of LSTR or TeSTra. Its videos are
            found whatever their suffix.
        pipeline (list[dict | Callable]): The transforms.
        num_tokens (int): Temporal tokens of a clip: places in time that the
            model scores. Defaults to 1.
        **kwargs: Further arguments of :class:`OnlineVideoDataset` and
            :class:`BenchmarkDataset`, whose ``actions`` must be given.
    """

    names_are_paths = False

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 num_tokens: int = 1, **kwargs) -> None:
        if kwargs.get('actions') is None:
            raise ValueError('actions=None, but clips of videos need the '
                             'official lists of actions: published targets '
                             'are those of features')
        self.num_tokens = num_tokens
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    def sample_keys(self, idx: int, video: dict) -> dict:
        """Frames, tokens and labels of a clip."""
        keys = super().sample_keys(idx, {**video, 'label': -1})
        clock = Clock(video)
        start = keys['start_seconds']
        times = cut_tokens(start, self.grid.span / video['fps'],
                           self.num_tokens, clock.end)
        return {**keys, 'label': self.shares_at(video, times.mean(1)),
                'token_times': times}
