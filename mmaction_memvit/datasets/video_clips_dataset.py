# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Whole videos as samples, for models that look at several clips of each."""
import math
from typing import Callable, Optional, Union

import numpy as np
from mmaction.registry import DATASETS
from mmengine.dataset import force_full_init

from ..video.index import first_names
from .listed_video_dataset import ListedVideoDataset
from .source_options import check_choice
from .video_files import leave_out, video_source


@DATASETS.register_module()
class VideoClipsDataset(ListedVideoDataset):
    """Labelled videos, of which the pipeline takes clips.

    MMAction2's ``VideoDataset`` for videos whose lengths are known before
    they are opened. Pipelines begin with MMAction2's ``SampleFrames`` and
    :class:`LoadVideoClip`::

        [dict(type='SampleFrames', clip_len=8, frame_interval=8, num_clips=8),
         dict(type='LoadVideoClip'), ...]

    Samples hold these keys:

    - ``filename`` (str), ``label`` (int, or with ``multi_class`` a float
      Tensor of shape (num_classes,), all -1 if not annotated),
    - ``video_id`` (str): the path as in the list, ``timestamp`` (int): 0,
    - ``total_frames`` (int), ``fps`` and ``avg_fps`` (float), ``modality``,
      ``start_index``, ``sample_idx``, ``epoch`` and ``aug_seed`` (ints).

    Videos that are not there or cut off, and such as fail in training, are
    dealt with as by :class:`StreamDataset`.

    Args:
        ann_file (str): Path of the list, one line ``path label`` a video (with
            ``multi_class`` ``path label label ...``).
        pipeline (list[dict | Callable]): The transforms.
        short_video (str): What to do in training with videos too short for
            the clips of ``SampleFrames``, if these are several, all to be
            different: ``'error'``, ``'skip'`` (leave them out, with a
            warning) or ``'keep'`` (clips repeat themselves; models with
            collaborative memory take that for an error). In test mode all are
            kept. Defaults to ``'error'``.
        **kwargs: Further arguments of :class:`ListedVideoDataset` and
            :class:`StreamDataset`: data_prefix, index_file, missing_video,
            seed, test_mode, multi_class, num_classes, delimiter, ...

    Raises:
        FileNotFoundError: If the list, the index or videos do not exist.
        ValueError: If an argument or a line of the list is out of range, the
            index does not fit, or videos are too short.
    """

    sample_kind = 'video'
    batch_sampler = None

    def __init__(self,
                 ann_file: str,
                 pipeline: list[Union[dict, Callable]],
                 short_video: str = 'error',
                 **kwargs) -> None:
        check_choice('short_video', short_video, ('error', 'skip', 'keep'))
        if kwargs.get('ann_format', 'video') != 'video':
            raise ValueError(
                f"ann_format={kwargs['ann_format']!r}: VideoClipsDataset "
                "reads 'video' only. Remedy: cut the segments out, or use "
                'OnlineVideoDataset')
        self.short_video = short_video
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Loads the videos.

        Returns:
            list[dict]: One dict for every video: ``video_id``, ``filename``,
            ``label``, ``num_frames`` and ``fps``.
        """
        videos = self.list_videos()
        if not self.test_mode and self.short_video != 'keep':
            videos = self._drop_short(videos)
        self.check_any_left(videos)
        numbers = np.arange(len(videos), dtype=np.int32)
        self.set_samples([v['video_id'] for v in videos],
                         _clip_video=numbers,
                         _clip_position=np.zeros_like(numbers))
        return videos

    def _drop_short(self, videos: list[dict]) -> list[dict]:
        """Leaves out what has not N starts for N clips."""
        keys = ('num_clips', 'clip_len', 'frame_interval', 'target_fps')
        clips = None
        for step in self.pipeline.transforms:
            sizes = {k: getattr(step, k, None) for k in keys}
            if None not in [sizes[k] for k in keys[:3]] \
                    and sizes['num_clips'] > 1:
                clips = sizes
        if clips is None:
            return videos
        kept, names = [], []
        for video in videos:
            needed = frames_needed(**clips, fps=video['fps'])
            if video['num_frames'] >= needed:
                kept.append(video)
            else:
                names.append(f"{video['filename']} ({video['num_frames']} of "
                             f'{needed})')
        told = ', '.join(
            f'{k}={v}' for k, v in clips.items() if v is not None)
        if names and not kept:
            self._raise_all_short(videos, clips, told)
        return leave_out(
            names, kept, self.short_video, ValueError,
            f'{len(names)} of {len(videos)} videos of {self.ann_file!r} have '
            'fewer frames than SampleFrames needs to take different clips '
            f'with {told}: {first_names(names)}',
            "set short_video='skip', fewer clips (num_clips of SampleFrames) "
            'or shorter ones')

    def _raise_all_short(self, videos: list[dict], clips: dict,
                         told: str) -> None:
        """Raises an error that tells how many clips the longest would give."""
        longest, most = videos[0], -math.inf
        for video in videos:
            one = frames_needed(**{**clips, 'num_clips': 1}, fps=video['fps'])
            if video['num_frames'] - one + 1 > most:
                longest, most = video, video['num_frames'] - one + 1
        needed = frames_needed(**clips, fps=longest['fps'])
        fits = f'enough for num_clips={most}' if most > 1 else \
            'not enough for two different clips'
        raise ValueError(
            f'no video of {self.ann_file!r} is left: all {len(videos)} have '
            'fewer frames than SampleFrames needs to take different clips '
            f"with {told}. The longest, {longest['filename']!r}, has "
            f"{longest['num_frames']} of {needed} frames, {fits}. Remedy: "
            f'set num_clips={max(most, 1)} of SampleFrames, or take shorter '
            'clips (clip_len, frame_interval)')

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """What the pipeline gets for a video.

        Args:
            idx (int): Number of the video.

        Returns:
            dict: The keys that the class describes.
        """
        idx = range(len(self))[idx]
        video = self.get_video_info(int(self._clip_video[idx]))
        label = video['label']
        return {
            **self.sample_info(idx),
            **video_source(video),
            'label': self.multi_hot(label) if self.multi_class else label,
            'total_frames': video['num_frames'],
            'fps': video['fps'],
            'avg_fps': video['fps'],
        }


def frames_needed(num_clips: int,
                  clip_len: int,
                  frame_interval: int,
                  target_fps: Optional[float] = None,
                  fps: Optional[float] = None) -> int:
    """Frames of a video of which ``SampleFrames`` draws different clips.

    Args:
        num_clips (int): Number of the clips.
        clip_len (int): Frames of a clip.
        frame_interval (int): Frames from one to the next; at ``target_fps``,
            where that is given.
        target_fps (float, optional): Frames per second that clips are
            resampled to. Defaults to None: none.
        fps (float, optional): Frames per second of the video. Defaults to
            None: not known, taken for ``target_fps`` as by ``SampleFrames``.

    Returns:
        int: Least number of frames; with fewer, a clip appears twice.
    """
    span = clip_len * frame_interval
    if target_fps and fps:
        span = max(1, span * (fps / target_fps))
    return math.ceil(span) + num_clips - 1
