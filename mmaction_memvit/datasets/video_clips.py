# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Whole videos, or their segments, of which pipelines take clips."""
import math
from typing import Callable, Optional, Union

import numpy as np
from mmaction.registry import DATASETS

from ..messages import check_choice, data_error
from .grid import Clock
from .source import drop
from .video import ListedVideoDataset, segment_id


@DATASETS.register_module()
class VideoClipsDataset(ListedVideoDataset):
    """Labelled videos, or segments of these, of which pipelines take clips.

    MMAction2's ``VideoDataset`` for videos whose lengths are known before
    they are opened. Pipelines begin with MMAction2's ``SampleFrames`` and
    :class:`LoadVideoClip`::

        [dict(type='SampleFrames', clip_len=8, frame_interval=8, num_clips=8),
         dict(type='LoadVideoClip'), ...]

    Samples hold the keys of :class:`StreamDataset`, and ``label``. With
    ``ann_format='segments'`` every labelled segment of a video is a sample,
    which looks as if it were a whole video: so models without memory learn
    from the list of :class:`OnlineVideoDataset`. It has a ``segment_id``
    (str), and in place of the video's ``total_frames`` and ``start_index``
    those of the segment, which ``segment_frames`` (first and last frame, from
    0, inclusive) names; ``timestamp`` is its number among those of its video.

    Args:
        ann_file (str): Path of the list.
        pipeline (list[dict | Callable]): The transforms.
        short_video (str): What to do in training with videos or segments too
            short for the clips of ``SampleFrames``, if these are several, all
            to be different: ``'error'``, ``'skip'`` (leave them out, with a
            warning) or ``'keep'`` (clips repeat themselves; models with
            collaborative memory take that for an error). In test mode all are
            kept. Defaults to ``'error'``.
        before_seconds (float): How many seconds of the video before a segment
            its sample shows, too, as far as there are any. Defaults to 0.
        **kwargs: Further arguments of :class:`ListedVideoDataset` and
            :class:`StreamDataset`.
    """

    batch_sampler = None

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 short_video: str = 'error', before_seconds: float = 0.,
                 **kwargs) -> None:
        check_choice('short_video', short_video, ('error', 'skip', 'keep'))
        segments = kwargs.get('ann_format') == 'segments'
        if before_seconds < 0 or (before_seconds and not segments):
            raise ValueError(
                f'before_seconds={before_seconds} must be 0 or more seconds '
                "before segments. Remedy: set ann_format='segments', or "
                'leave it out')
        self.sample_kind = 'segment' if segments else 'video'
        self.short_video = short_video
        self.before_seconds = before_seconds
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    def load_videos(self) -> list[dict]:
        """Reads the list, looks for the videos and checks their lengths."""
        videos = super().load_videos()
        if self.ann_format == 'segments':
            return videos
        return self._drop_short(
            videos, [(v, v['video_id'], v['num_frames']) for v in videos])

    def plan_samples(self, videos: list[dict]) -> dict[str, np.ndarray]:
        """Every video, or every labelled segment."""
        if self.ann_format != 'segments':
            return super().plan_samples(videos)
        rows, names = [], []
        for number, video in enumerate(videos):
            for k, (start, end, labels) in enumerate(video['segments']):
                if labels:
                    first, last = Clock(video).frames_within(
                        max(start - self.before_seconds, 0), end)
                    rows.append((number, k, first, last))
                    names.append((video, segment_id(video, k),
                                  last - first + 1))
        rows = self._drop_short(rows, names)
        if not rows:
            raise data_error(
                repr(self.ann_file), f'none of its {len(names)} labelled '
                'segments is left', "label some, or set short_video='keep'")
        keys = ('video', 'position', 'first', 'last')
        return {k: np.asarray(x, np.int32) for k, x in zip(keys, zip(*rows))}

    def _drop_short(self, items: list, lengths: list[tuple]) -> list:
        """Those long enough, by video, name and number of frames of each."""
        clips = self._clips()
        if self.test_mode or self.short_video == 'keep' or clips is None:
            return items
        faults = []
        for video, name, num_frames in lengths:
            needed = frames_needed(**clips, fps=video['fps'])
            faults.append(f'{name} ({num_frames} of {needed})'
                          * (num_frames < needed))
        told = ', '.join(f'{k}={v}' for k, v in clips.items() if v is not None)
        return drop(
            items, faults, self.short_video,
            f'{self.sample_kind}s of {self.ann_file!r} have fewer frames than '
            f'SampleFrames needs to take different clips with {told}',
            "set short_video='skip', fewer clips (num_clips of SampleFrames) "
            'or shorter ones')

    def _clips(self) -> Optional[dict]:
        """How the pipeline samples several clips of a video, if it does."""
        names = ('num_clips', 'clip_len', 'frame_interval', 'target_fps')
        for step in reversed(self.pipeline.transforms):
            clips = {k: getattr(step, k, None) for k in names}
            if None not in list(clips.values())[:3] and clips['num_clips'] > 1:
                return clips
        return None

    def sample_keys(self, idx: int, video: dict) -> dict:
        """Label of a video; label and frames of a segment."""
        if self.ann_format != 'segments':
            return dict(label=self.label_of(video['label']))
        number, first, last = (int(self.samples[k][idx])
                               for k in ('position', 'first', 'last'))
        labels = list(video['segments'][number][2])
        return {
            'label': self.label_of(labels if self.multi_class else labels[0]),
            'segment_id': segment_id(video, number),
            'segment_frames': (first, last),
            'start_index': self.start_index + first,
            'total_frames': last - first + 1}


def frames_needed(num_clips: int, clip_len: int, frame_interval: int,
                  target_fps: Optional[float] = None,
                  fps: Optional[float] = None) -> int:
    """Frames of a video of which ``SampleFrames`` draws different clips.

    With fewer, a clip appears twice. ``frame_interval`` counts at
    ``target_fps``, where that is given; ``fps`` is the video's own rate, None
    or 0 if it is not known and so taken for ``target_fps``.
    """
    span = clip_len * frame_interval
    if target_fps and fps:
        span = max(1, span * (fps / target_fps))
    return math.ceil(span) + num_clips - 1
