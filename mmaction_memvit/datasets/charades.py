# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Charades: home videos with several actions each."""
from typing import Callable, Optional, Union

import torch
from mmaction.registry import DATASETS

from ..annotations.charades import (
    NUM_CLASSES,
    TIME_TOLERANCE,
    read_charades,
)
from ..messages import retire
from .source import NamedVideoDataset
from .transforms import LabelSampledClips


@DATASETS.register_module()
class CharadesDataset(NamedVideoDataset):
    """Videos with many-hot labels, for pipelines of MMAction2.

    Reads the official lists, and video files or the official folders of
    frames (``46GP8/46GP8-000001.jpg``). A sample is a video::

        [dict(type='SampleFrames', clip_len=64, frame_interval=2,
              num_clips=4),
         dict(type='LoadVideoClip'),        # of frames: RawFrameDecode
         ...]

    It holds, beside the keys of :class:`StreamDataset`:

    - ``label`` (Tensor): float32 of shape (num_classes, ), ones for all
      actions of the video, perhaps none. Put ``LabelSampledClips`` after
      ``SampleFrames`` to train with the actions that the sampled clips show,
    - ``actions`` (np.ndarray): int64 of shape (A, ), ``action_times``: float64
      of shape (A, 2), seconds.

    In test mode ``metainfo`` has ``video_ids``, so that metrics can name
    videos that were not scored.

    Args:
        ann_file (str): ``Charades_v1_train.csv`` or ``Charades_v1_test.csv``,
            or a file with the columns id, actions and length.
        pipeline (list[dict | Callable]): The transforms.
        data_prefix (dict, optional): See :class:`NamedVideoDataset`.
        num_classes (int): Number of classes. Defaults to 157.
        reversed_times (str): What to do with actions that end before they
            start, see :func:`read_charades`. Defaults to ``'keep'``.
        time_tolerance (float): Seconds by which actions may end after their
            video. Defaults to 2.
        **kwargs: Further arguments of :class:`NamedVideoDataset` and
            :class:`StreamDataset`. ``fps`` is 24 by default, that of
            ``Charades_v1_rgb``.
    """

    sample_kind = 'video'
    batch_sampler = None
    frame_fps = 24.
    frame_name = '{video_id}-{:06}.jpg'

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 data_prefix: Optional[dict] = None,
                 num_classes: int = NUM_CLASSES, reversed_times: str = 'keep',
                 time_tolerance: float = TIME_TOLERANCE, **kwargs) -> None:
        retire(kwargs, multi_class=True)
        if not num_classes >= 1:
            raise ValueError(f'num_classes={num_classes} must be at least 1')
        self.reversed_times = reversed_times
        self.time_tolerance = time_tolerance
        super().__init__(ann_file, pipeline=pipeline, data_prefix=data_prefix,
                         num_classes=num_classes, multi_class=True, **kwargs)
        if self.test_mode and any(isinstance(x, LabelSampledClips)
                                  for x in self.pipeline.transforms):
            raise ValueError(
                'LabelSampledClips in a pipeline with test_mode=True: videos '
                'are scored against all of their actions. Remedy: take it '
                'out')

    @property
    def metainfo(self) -> dict:
        """Meta information; in test mode with ``video_ids``, if loaded."""
        meta = super().metainfo
        if self.test_mode and self._fully_initialized:
            meta['video_ids'] = [name for name, _ in self.stream_keys()]
        return meta

    def load_videos(self) -> list[dict]:
        """Reads the list and looks for the videos."""
        rows = {
            row.video_id: row
            for row in read_charades(self.ann_file, self.num_classes,
                                     self.reversed_times, self.time_tolerance)}
        videos = self.find_videos(rows)
        for video in videos:
            row = rows[video['video_id']]
            video.update(actions=row.classes, action_times=row.times)
        empty = sum(not len(v['actions']) for v in videos)
        self.summary = f', {empty} of them without actions'
        return videos

    def sample_keys(self, idx: int, video: dict) -> dict:
        """Label and actions of a video."""
        # As MMAction2's heads and losses want it; not an array, which
        # PackActionInputs would make integers of.
        label = torch.zeros(self.num_classes)
        label[video['actions']] = 1
        return dict(label=label, actions=video['actions'],
                    action_times=video['action_times'])
