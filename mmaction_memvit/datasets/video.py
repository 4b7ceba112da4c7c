# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Data sets over lists of labelled videos: streams of clips, whole videos."""
from typing import Callable, Optional, Union

import numpy as np
from mmaction.registry import DATASETS

from ..messages import check_choice, data_error, first_names, warn
from .grid import (
    ClipGrid,
    Clock,
    choose_by_share,
    frames_needed,
    shared_time,
)
from .listed import ListedVideoDataset
from .source import drop


@DATASETS.register_module()
class OnlineVideoDataset(ListedVideoDataset):
    """Consecutive clips of labelled videos, for models with memory.

    Every video gives clips 0, 1, 2, ... of ``clip_len`` frames that are
    ``frame_interval`` frames apart. Clips start ``clip_stride`` frames after
    each other; by default one starts where the one before it ends.

    With ``ann_format='segments'`` a clip gets the label of the segment that
    it shares most time with (of equal ones, the first in the list), provided
    that this is ``min_overlap`` of the clip or of the segment; else -1. With
    ``multi_class`` it gets the labels of all segments that meet this.

    Samples hold, beside the keys of :class:`StreamDataset`, ``label``,
    ``segment_id`` (str), unique in the dataset, ``''`` without one,
    ``clip_range`` (first and last frame, from 0, that the clip stands for),
    ``start_seconds`` (float), and what ``LoadVideoClip`` or MMAction2's
    ``DecordInit``, ``DecordDecode`` need, without a sampling transform:
    ``frame_inds``, int64 (clip_len,), ``clip_len``, ``frame_interval`` and
    ``num_clips`` (1).

    Args:
        ann_file (str): Path of the list.
        pipeline (list[dict | Callable]): The transforms.
        clip_len (int): Frames of a clip. Defaults to 16.
        frame_interval (int): Frames from one sampled frame to the next.
            Defaults to 4.
        clip_stride (int, optional): Frames from the start of a clip to the
            start of the next; less than ``clip_len * frame_interval`` gives
            clips that overlap. Defaults to None: clip_len * frame_interval.
        last_clip (str): What becomes of the frames after the last full clip,
            if they are at least ``frame_interval``: ``'pad'`` makes a clip of
            them that repeats the last frame, ``'drop'`` leaves them out and
            says how many. Defaults to ``'pad'``.
        short_video (str): What to do with videos shorter than a clip:
            ``'error'``, ``'pad'`` (repeat the last frame) or ``'skip'``
            (leave them out, with a warning). Defaults to ``'error'``.
        min_overlap (float): See above, in (0, 1]. Defaults to 0.5.
        **kwargs: Further arguments of :class:`ListedVideoDataset` and
            :class:`StreamDataset`.
    """

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 clip_len: int = 16, frame_interval: int = 4,
                 clip_stride: Optional[int] = None, last_clip: str = 'pad',
                 short_video: str = 'error', min_overlap: float = 0.5,
                 **kwargs) -> None:
        self.grid = ClipGrid(clip_len, frame_interval, clip_stride, last_clip)
        check_choice('short_video', short_video, ('error', 'pad', 'skip'))
        self.short_video = short_video
        self.min_overlap = min_overlap
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    def load_videos(self) -> list[dict]:
        """Reads the list, looks for the videos and checks their lengths."""
        videos = super().load_videos()
        if self.short_video == 'pad':
            return videos
        grid = self.grid
        return drop(
            videos, [
                f"{v['video_id']} ({v['num_frames']} frames)"
                if v['num_frames'] < grid.span else '' for v in videos
            ], self.short_video, f'videos of {self.ann_file!r} are shorter '
            f'than a clip of clip_len={grid.clip_len} x frame_interval='
            f'{grid.frame_interval} = {grid.span} frames',
            "set short_video='pad' or 'skip', or a smaller clip_len or "
            'frame_interval')

    def plan_samples(self, videos: list[dict]) -> dict[str, np.ndarray]:
        """Divides the videos into clips: a few bytes for every clip."""
        grid = self.grid
        video, position = grid.plan([v['num_frames'] for v in videos])
        counts = np.bincount(video)
        segment = np.full(len(video), -1, np.int32)
        text = (f' of {grid.clip_len} x {grid.frame_interval} frames, '
                f'{counts.min()} to {counts.max()} a video')
        if self.ann_format == 'segments':
            segment = self._label_clips(videos, counts)
            text += f', {(segment < 0).mean():.1%} of the clips not annotated'
        if grid.last_clip == 'drop':
            lost = sum(grid.num_left_out(v['num_frames']) for v in videos)
            total = sum(v['num_frames'] for v in videos)
            text += (f"; last_clip='drop' leaves out {lost} frames at the "
                     f'ends ({lost / total:.1%})')
        self.summary = text
        return dict(video=video, position=position, segment=segment)

    def _label_clips(self, videos: list[dict],
                     counts: np.ndarray) -> np.ndarray:
        """The segment that labels every clip, -1 for none, int32 (C, )."""
        chosen, unused, late = [], [], 0
        for video, count in zip(videos, counts):
            spans, times = self._spans(video, np.arange(count)), _times(video)
            own = choose_by_share(spans, times, self.min_overlap)
            chosen.append(own)
            if self.multi_class:
                own = shared_time(spans, times, self.min_overlap)[1]
            unused += [_segment_id(video, k) for k in np.setdiff1d(
                np.arange(len(times)), own)]
            end = Clock(video).seconds_at(video['num_frames'])
            late += int((times[:, 0] >= end).sum())
        remedy = ('give times in seconds within the videos, not in frames: '
                  f'{late} segments begin after the end of their video'
                  if late else
                  'a smaller clip_stride for segments shorter than a clip')
        segment = np.concatenate(chosen).astype(np.int32)
        if (segment < 0).all():
            raise data_error(
                repr(self.ann_file),
                f'none of its {len(unused)} labelled segments is the label '
                f'of a clip, such as {first_names(unused)}: there is nothing '
                'to learn or to measure', remedy)
        if unused:
            warn(f'{len(unused)} labelled segments are the label of no clip: '
                 f'{first_names(unused)}. They are shorter than a clip, '
                 'hidden by others, or after the end of the video. Remedy, '
                 f'where they matter: {remedy}')
        return segment

    def _spans(self, video: dict, positions: np.ndarray) -> np.ndarray:
        """Start and end of clips in seconds, (C, 2)."""
        first, last = self.grid.frame_range(positions, video['num_frames'])
        return Clock(video).seconds_at(np.stack([first, last + 1], 1))

    def sample_keys(self, idx: int, video: dict) -> dict:
        """Frames and label of a clip."""
        position = int(self.samples['position'][idx])
        num_frames = video['num_frames']
        first, last = self.grid.frame_range(position, num_frames)
        segment = int(self.samples['segment'][idx])
        return {
            'label': self.label_of(self._labels_at(video, position, segment)),
            'segment_id': '' if segment < 0 else _segment_id(video, segment),
            'clip_range': (int(first), int(last)),
            'start_seconds': float(Clock(video).seconds_at(first)),
            'frame_inds':
            self.grid.frame_inds(position, num_frames) + self.start_index,
            'clip_len': self.grid.clip_len,
            'frame_interval': self.grid.frame_interval,
            'num_clips': 1}

    def _labels_at(self, video: dict, position: int,
                   segment: int) -> Union[int, list[int]]:
        if self.ann_format == 'video':
            return video['label']
        if self.multi_class:
            found = shared_time(self._spans(video, np.asarray([position])),
                                _times(video), self.min_overlap)[1]
            return [x for k in found for x in video['segments'][k][2]]
        labels = video['segments'][segment][2] if segment >= 0 else ()
        return labels[0] if labels else -1


def _times(video: dict) -> np.ndarray:
    """Start and end of a video's segments in seconds, (S, 2)."""
    return np.asarray([s[:2] for s in video['segments']],
                      dtype=float).reshape(-1, 2)


def _segment_id(video: dict, number: int) -> str:
    return f"{video['video_id']}#{number}"


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
                    names.append((video, _segment_id(video, k),
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
            'segment_id': _segment_id(video, number),
            'segment_frames': (first, last),
            'start_index': self.start_index + first,
            'total_frames': last - first + 1}
