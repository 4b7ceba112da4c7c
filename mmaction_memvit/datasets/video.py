# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Lists of labelled videos, and the streams of clips of these."""
import os.path as osp
from typing import Callable, Optional, Union

import numpy as np
import torch
from mmaction.registry import DATASETS

from ..annotations.video_list import read_video_list
from ..messages import check_choice, data_error, first_names, warn
from ..video.find import is_video
from .grid import ClipGrid, Clock, choose_by_share, shared_time
from .source import BUILD_INDEX, NamedVideoDataset, drop


class ListedVideoDataset(NamedVideoDataset):
    """Base of data sets whose videos stand in a list, by their paths.

    Samples have a ``label``: an int, -1 for "not annotated"; with
    ``multi_class`` a float Tensor of shape (num_classes,), all -1 then.

    Args:
        ann_file (str): Path of the list, see :func:`read_video_list`.
        pipeline (list[dict | Callable]): The transforms.
        ann_format (str): ``'video'``, a line ``path label`` a video (with
            ``multi_class`` ``path label label ...``), or ``'segments'``, a
            line ``path start end label`` (seconds) a labelled segment.
            Defaults to ``'video'``.
        delimiter (str): What stands between the fields of the list; ``' '``
            means any white space. Defaults to ``' '``.
        num_classes (int, optional): Number of classes; labels must be below
            it. Defaults to None: the number of ``classes`` in ``metainfo``
            if there are any, else labels are not checked.
        multi_class (bool): Whether a sample may have several labels, which
            needs ``num_classes``. Defaults to False.
        **kwargs: Further arguments of :class:`NamedVideoDataset` and
            :class:`StreamDataset`; frame folders need their rate ``fps``.
            Paths of the list start from ``data_prefix['video']``, or, without
            the suffix of a video, from ``data_prefix['feature']`` or, of
            frame folders, ``data_prefix['img']``.
    """

    frame_fps = None
    names_are_paths = True

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 ann_format: str = 'video', delimiter: str = ' ',
                 **kwargs) -> None:
        self.ann_format = ann_format
        self.delimiter = delimiter
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    def load_videos(self) -> list[dict]:
        """Reads the list and looks for the videos."""
        rows = self.read_rows()
        return [{**video, **rows[video['video_id']]}
                for video in self.find_videos(rows)]

    def places(self, name: str) -> list[str]:
        """Where a video may be: paths from ``data_prefix``."""
        is_folder = self.use_frames and is_video(name)
        return [osp.splitext(name)[0] if is_folder else name]

    def read_rows(self) -> dict[str, dict]:
        """What the list says of videos, by path."""
        classes = self._metainfo.get('classes')
        if self.num_classes is None and classes is not None:
            self.num_classes = len(classes)
        if self.multi_class and self.num_classes is None:
            raise ValueError('multi_class=True needs num_classes, which is '
                             'None. Remedy: set num_classes in the config')
        return {
            row.pop('path'): row
            for row in read_video_list(
                self.ann_file, ann_format=self.ann_format,
                delimiter=self.delimiter, multi_class=self.multi_class,
                num_classes=self.num_classes, need_label=self.needs_label())}

    def needs_label(self) -> bool:
        """Whether every video of the list must have a label."""
        return not self.test_mode

    def build_command(self) -> str:
        """How to write the index, for error messages."""
        command = (f'run "{BUILD_INDEX} {self.ann_file} --data-root '
                   f"{self.data_prefix.get('video') or '.'} --out "
                   f'{self.index_file or "INDEX.json"}')
        if self.ann_format != 'video':
            command += f' --ann-format {self.ann_format}'
        if self.delimiter != ' ':
            command += f' --delimiter {self.delimiter!r}'
        return command + '"'

    def label_of(self, label: Union[int, list[int]]
                 ) -> Union[int, torch.Tensor]:
        """A label as the class describes it."""
        if not self.multi_class:
            return label
        if not label:
            return torch.full((self.num_classes, ), -1.)
        return torch.zeros(self.num_classes).index_fill_(
            0, torch.tensor(label), 1.)


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
            segment = self._label_spans(videos)
            text += f', {(segment < 0).mean():.1%} of them not annotated'
        if grid.last_clip == 'drop':
            lost = sum(grid.num_left_out(v['num_frames']) for v in videos)
            total = sum(v['num_frames'] for v in videos)
            text += (f"; last_clip='drop' leaves out {lost} frames at the "
                     f'ends ({lost / total:.1%})')
        self.summary = text
        return dict(video=video, position=position, segment=segment)

    def labelled_spans(self, video: dict) -> np.ndarray:
        """Start and end in seconds of all that has a label, (C, 2): clips."""
        return self._spans(
            video, np.arange(self.grid.num_clips(video['num_frames'])))

    def _label_spans(self, videos: list[dict]) -> np.ndarray:
        """The segment that labels every span, -1 for none, int32 (C, )."""
        chosen, unused, late = [], [], 0
        for video in videos:
            spans, times = self.labelled_spans(video), segment_times(video)
            own = choose_by_share(spans, times, self.min_overlap)
            chosen.append(own)
            if self.multi_class:
                own = shared_time(spans, times, self.min_overlap)[1]
            unused += [segment_id(video, k) for k in np.setdiff1d(
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
        position, segment = (int(self.samples[k][idx])
                             for k in ('position', 'segment'))
        label, = self.labels_at(video, self._spans(video, np.array(
            [position])))
        return {
            'label': self.label_of(label),
            'segment_id': '' if segment < 0 else segment_id(video, segment),
            **self.clip_keys(position, video)}

    def clip_keys(self, position: int, video: dict) -> dict:
        """Frames of a clip."""
        num_frames = video['num_frames']
        first, last = self.grid.frame_range(position, num_frames)
        return {
            'clip_range': (int(first), int(last)),
            'start_seconds': float(Clock(video).seconds_at(first)),
            'frame_inds':
            self.grid.frame_inds(position, num_frames) + self.start_index,
            'clip_len': self.grid.clip_len,
            'frame_interval': self.grid.frame_interval,
            'num_clips': 1}

    def labels_at(self, video: dict, spans: np.ndarray) -> list:
        """Labels of spans of time (C, 2): ints, or lists of these."""
        if self.ann_format == 'video':
            return [video['label']] * len(spans)
        segments, times = video['segments'], segment_times(video)
        if not self.multi_class:
            labels = [segments[k][2] if k >= 0 else () for k in (
                choose_by_share(spans, times, self.min_overlap))]
            return [x[0] if x else -1 for x in labels]
        found: list[list[int]] = [[] for _ in spans]
        for row, k, _ in zip(*shared_time(spans, times, self.min_overlap)):
            found[row] += segments[k][2]
        return found


def segment_times(video: dict) -> np.ndarray:
    """Start and end of a video's segments in seconds, (S, 2)."""
    return np.asarray([s[:2] for s in video['segments']],
                      dtype=float).reshape(-1, 2)


def segment_id(video: dict, number: int) -> str:
    return f"{video['video_id']}#{number}"
