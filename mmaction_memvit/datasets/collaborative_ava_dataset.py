# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Windows of clips around keyframes with boxes."""
from collections.abc import Sequence
from typing import Any, Optional, Union

import numpy as np
import torch
from mmaction.registry import DATASETS
from mmengine.dataset import force_full_init
from mmengine.logging import print_log

from mmaction_memvit.memory import WindowDataSample

from ..video.index import first_names
from .clip_windows import max_clips, window_times
from .online_ava_dataset import OnlineAVADataset
from .source_options import check_choice
from .stream_dataset import subset


@DATASETS.register_module()
class CollaborativeAVADataset(OnlineAVADataset):
    """Clips around keyframes, with all their boxes, for a shared memory.

    Keyframes, boxes and proposals are those of :class:`OnlineAVADataset`. A
    sample is a *window*: ``num_clips`` clips of a video, ``clip_stride``
    seconds apart, around a keyframe. Each clip passes the pipeline by itself
    and comes with the boxes and labels of its own keyframe. Random transforms
    draw anew for each clip, but those in ``PerVideoAugment`` once a window
    and epoch, which is what clips that are compared should have.

    **Which clips.** ``num_clips // 2`` come before the keyframe. At the ends
    of a video the window is shifted, so that it holds that many different
    clips; a video that has not so many is an error, or repeats its first and
    last clip, see ``short_video``. Time alone counts, not annotations: a
    moment that is no keyframe (nobody annotated it, it is excluded, or
    ``keyframes`` leaves it out) is a clip without boxes, which adds to the
    memory and nothing to the loss.

    **Training.** One window for every ``window_step`` keyframes of a video in
    a row; which of these is its centre is drawn for each video and epoch. The
    default, ``num_clips``, shows every keyframe about once an epoch, as data
    sets without windows do, so that the epochs of a schedule mean the same
    for any N. That is a guess: the paper names epochs only. With 1 every
    keyframe is a centre and shown ``num_clips`` times an epoch.

    **Testing.** A sample is a keyframe, to be scored with the memory of its
    window. A slice of keyframes of one video, ``dataset[5:21]``, is a sample
    as well: these keyframes, and all clips of their windows, each once. With
    16 at a second's distance and N = 9 these are 24 clips in place of 144.
    ``DistinctVideoBatchSampler`` asks for slices of up to
    ``keyframes_per_item``; scores are the same for any number.

    Samples are ``dict(inputs=Tensor, data_samples=WindowDataSample)``; inputs
    are (clips, 3, T, H, W). Use it with :class:`DistinctVideoBatchSampler`,
    and in testing with :class:`AnySizeDataPreprocessor`, as samples hold
    different numbers of clips.

    Args:
        ann_file (str): As in :class:`OnlineAVADataset`.
        pipeline (list[dict | Callable]): The transforms of one clip; the last
            is ``PackActionInputs`` with 'video_id' and 'timestamp' among its
            meta_keys.
        num_clips (int): N. Defaults to 9.
        clip_stride (float): Seconds from one clip to the next. Defaults to 1.
        window_step (int, optional): In training, keyframes for each window.
            Defaults to None: ``num_clips``.
        keyframes_per_item (int): In testing, most keyframes of a slice.
            Defaults to 16.
        short_video (str): What to do with videos that have fewer than
            ``num_clips`` different clips: ``'error'`` or ``'repeat'`` clips.
            Defaults to ``'error'``.
        **kwargs: Further arguments of :class:`OnlineAVADataset`.

    Raises:
        ValueError: If an argument is out of range, or ``clip_stride`` is no
            whole number of timestamps, or a video too short.
    """

    sample_kind = 'window'
    batch_sampler = 'DistinctVideoBatchSampler'

    def __init__(self,
                 ann_file: str,
                 pipeline: list,
                 num_clips: int = 9,
                 clip_stride: float = 1,
                 window_step: Optional[int] = None,
                 keyframes_per_item: int = 16,
                 short_video: str = 'error',
                 **kwargs) -> None:
        for name, value in (('num_clips', num_clips),
                            ('window_step', window_step),
                            ('keyframes_per_item', keyframes_per_item)):
            if value is not None and (not isinstance(value, int)
                                      or value < 1):
                raise ValueError(f'{name}={value} must be a whole number, at '
                                 'least 1')
        check_choice('short_video', short_video, ('error', 'repeat'))
        self.num_clips = num_clips
        self.clip_stride = clip_stride
        self.window_step = window_step or num_clips
        self.keyframes_per_item = keyframes_per_item
        self.short_video = short_video
        # By sample: its first keyframe, and the one after the last.
        self._items = np.zeros((0, 2), np.int64)
        # By video: timestamps of a stride, the least and the greatest.
        self._grids = np.zeros((0, 3), np.int64)
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    def draws_by_epoch(self) -> bool:
        """Whether something is drawn once an epoch, as centres are."""
        return self.window_step > 1 or super().draws_by_epoch()

    # -- loading ------------------------------------------------------------

    def load_data_list(self) -> list[dict]:
        """Loads the annotations and plans the windows.

        Returns:
            list[dict]: As in :class:`OnlineAVADataset`.
        """
        videos = super().load_data_list()
        self._grids = np.asarray([self._grid(v) for v in videos])
        self._check_short(videos)
        step = 1 if self.test_mode else self.window_step
        # Keyframes are sorted by video.
        starts = np.flatnonzero(
            np.diff(self._clip_video, prepend=-1)).tolist()
        items = []
        for first, end in zip(starts,
                              [*starts[1:], len(self._clip_video)]):
            for i in range(first, end, step):
                items.append((i, min(i + step, end)))
        self._items = np.asarray(items, np.int64).reshape(-1, 2)
        print_log(
            f'{len(items)} windows of {self.num_clips} clips, '
            f'{self.clip_stride:g} s apart, one for every {step} keyframes',
            logger='current')
        return videos

    def _grid(self, video: dict) -> tuple[int, int, int]:
        """Timestamps of a stride, least and greatest timestamp of a video."""
        rate, fps = self.keyframe_rate, video['fps']
        stride = self.clip_stride * (fps if rate == 'frames' else rate)
        steps = round(stride)
        if steps < 1 or (rate != 'frames' and abs(steps - stride) > 1e-6):
            raise ValueError(
                f'clip_stride={self.clip_stride} s are {stride:g} timestamps '
                f'at keyframe_rate={rate!r}, but must be a whole number of '
                'them, at least 1: clips stand at timestamps')
        start = self.timestamp_start
        last = start + int(video['num_frames'] / fps *
                           (fps if rate == 'frames' else rate)) + 1
        if self.timestamp_end is not None:
            last = min(last, self.timestamp_end)
        while self._frame_of(last, fps) >= video['num_frames']:
            last -= 1
        return steps, start, last

    def _check_short(self, videos: list[dict]) -> None:
        if self.short_video == 'repeat':
            return
        num = max_clips(self._clip_position,
                        *self._grids[self._clip_video].T)
        most = {}
        for video in np.unique(self._clip_video):
            # Clips of a stride from any keyframe.
            most[videos[video]['video_id']] = int(
                num[self._clip_video == video].min())
        short = [name for name, num in most.items() if num < self.num_clips]
        if short:
            raise ValueError(
                f'{len(short)} of {len(most)} videos have fewer than '
                f'num_clips={self.num_clips} clips, {self.clip_stride:g} s '
                f'apart: {first_names(short)}; {short[0]!r} has '
                f'{most[short[0]]}. Remedy: set num_clips or clip_stride '
                "lower, or short_video='repeat' to repeat clips of such "
                'videos, or leave them out of the annotations')

    # -- samples ------------------------------------------------------------

    @force_full_init
    def __len__(self) -> int:
        """Number of windows."""
        return len(self._items)

    @force_full_init
    def item_slices(self) -> list[slice]:
        """How to go through the samples in testing.

        Returns:
            list[slice]: Of samples of one video each, up to
            ``keyframes_per_item``; together, all of them.
        """
        videos = self._clip_video[self._items[:, 0]]
        ends = [*(np.flatnonzero(np.diff(videos)) + 1).tolist(), len(videos)]
        slices, first = [], 0
        for end in ends:
            slices += [
                slice(i, min(i + self.keyframes_per_item, end))
                for i in range(first, end, self.keyframes_per_item)
            ]
            first = end
        return slices

    @force_full_init
    def stream_keys(self) -> list[tuple[str, int]]:
        """Video and first keyframe of every sample, without reading any.

        Returns:
            list[tuple[str, int]]: ``(video_id, timestamp)`` by index.
        """
        return [(self._video_ids[self._clip_video[i]],
                 int(self._clip_position[i])) for i in self._items[:, 0]]

    @force_full_init
    def get_subset_(self, indices: Union[Sequence[int], int]) -> None:
        """Keeps some of the samples only.

        Args:
            indices (int | Sequence[int]): Numbers of the samples to keep, or
                how many of the first (of the last, if negative).
        """
        self._items = self._items[subset(indices)]

    def _centres(self, idx: Union[int, slice]) -> list[int]:
        """Numbers of the keyframes that a sample is about."""
        numbers = range(len(self))[idx]
        if isinstance(idx, slice):
            centres = self._items[numbers.start:numbers.stop, 0].tolist()
            if (not self.test_mode or not centres or numbers.step != 1
                    or len(set(self._clip_video[centres])) > 1):
                raise IndexError(
                    f'{idx} is no sample: in test mode, a slice of samples of '
                    'one video in a row is one; see item_slices()')
            return centres
        first, end = self._items[numbers].tolist()
        if self.test_mode:
            return [first]
        seed = (self._state.seed, self.epoch, int(self._clip_video[first]))
        rng = np.random.default_rng([p % 2**32 for p in seed])
        return [min(first + int(rng.integers(self.window_step)), end - 1)]

    @force_full_init
    def get_data_info(self, idx: Union[int, slice]) -> dict:
        """The clips of a sample.

        Args:
            idx (int | slice): Number of the sample; in testing also a slice
                of some in a row, of one video.

        Returns:
            dict: ``clips`` (list[dict]), what the pipeline gets for each, in
            order of time; ``scored`` (np.ndarray), int64 (K,), the clips that
            are keyframes of the sample; ``windows`` (np.ndarray), int64
            (K, N), the clips of the windows of these; ``video`` (int),
            ``video_id`` and ``timestamp``, of the first of these.
        """
        centres = self._centres(idx)
        video = int(self._clip_video[centres[0]])
        stride, first, last = self._grids[video].tolist()
        own = self._clip_position[centres]
        windows = np.stack([
            window_times(t, self.num_clips, stride, first, last)
            for t in own.tolist()
        ])
        if self.test_mode:
            times = np.unique(windows)
            scored = np.searchsorted(times, own)
            windows = np.searchsorted(times, windows)
        else:
            # Repeated clips stay, so that all samples have N.
            times = windows[0]
            scored = np.flatnonzero(times == own[0])[:1]
            windows = np.arange(self.num_clips)[None]
        # Keyframes are sorted by video, then time.
        start, end = np.searchsorted(self._clip_video, (video, video + 1))
        found = start + np.searchsorted(self._clip_position[start:end], times)
        clips = []
        for time, row in zip(times.tolist(), found.tolist()):
            if row < end and self._clip_position[row] == time:
                clips.append(self.keyframe_info(row))
            else:
                clips.append(self.keyframe_info(centres[0], time))
        if not self.test_mode:
            for clip in clips:
                # PerVideoAugment draws once a sample, not once a video.
                clip['aug_seed'] += (centres[0] + 1) << 32
        return dict(
            video=video,
            video_id=self._video_ids[video],
            timestamp=int(own[0]),
            clips=clips,
            scored=scored,
            windows=windows)

    def prepare_data(self, idx: Union[int, slice]) -> Any:
        """Runs the pipeline for each clip of a sample.

        Args:
            idx (int | slice): As :meth:`get_data_info`.

        Returns:
            dict | None: Inputs and data samples; None if, in training, the
            video cannot be read.

        Raises:
            VideoReadError: If, in test mode, the video cannot be read.
        """
        info = self.get_data_info(idx)
        parts = []
        for n, clip in enumerate(info['clips']):
            part = self.run_pipeline(clip, info['video'], idx, n)
            if part is None:
                return None
            parts.append(part)
        return pack_window(parts, info)


def pack_window(parts: list[dict], info: dict) -> dict:
    """One sample of those of its clips.

    Args:
        parts (list[dict]): What ``PackActionInputs`` gives for each clip.
        info (dict): See :meth:`CollaborativeAVADataset.get_data_info`.

    Returns:
        dict: ``inputs``, (clips, 3, T, H, W), and ``data_samples``.

    Raises:
        ValueError: If clips are not of one shape.
    """
    clips = [x['inputs'] for x in parts]
    # FormatShape without collapse=True.
    clips = [x[0] if x.ndim == 5 and len(x) == 1 else x for x in clips]
    shapes = sorted({tuple(x.shape) for x in clips})
    if len(shapes) > 1 or len(shapes[0]) != 4:
        raise ValueError(
            f"clips around {info['video_id']},{info['timestamp']} have the "
            f'shapes {shapes} after the pipeline, but must all be of one '
            'shape (3, T, H, W): crop or resize them to one size, and take '
            "dict(type='FormatShape', input_format='NCTHW', collapse=True)")
    return dict(
        inputs=torch.stack(clips),
        data_samples=WindowDataSample.of(
            [x['data_samples'] for x in parts],
            torch.from_numpy(info['scored']),
            torch.from_numpy(info['windows']),
            video_id=info['video_id'],
            timestamp=info['timestamp']))
