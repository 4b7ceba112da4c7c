# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Windows of clips around keyframes with boxes."""
from typing import Any, Optional, Union

import numpy as np
import torch
from mmaction.registry import DATASETS
from mmengine.dataset import force_full_init

from mmaction_memvit.memory import WindowDataSample

from ..messages import check_choice, check_whole, first_names, rename
from .ava import OnlineAVADataset
from .grid import Clock, max_clips, window_times


@DATASETS.register_module()
class CollaborativeAVADataset(OnlineAVADataset):
    """Clips around keyframes, with all their boxes, for a shared memory.

    Keyframes, boxes and proposals are those of :class:`OnlineAVADataset`. A
    sample is a *window*: ``num_clips`` clips of a video, some seconds apart,
    around a keyframe, ``num_clips // 2`` of them before it. Each clip passes
    the pipeline by itself and comes with the boxes and labels of its own
    keyframe. Transforms in ``PerVideoAugment`` draw once a window and epoch,
    others anew for each clip.

    At the ends of a video the window is shifted, so that it holds that many
    different clips; see ``short_video``. A moment that is no keyframe (not
    annotated, excluded, or left out by ``keyframes``) is a clip without boxes,
    which adds to the memory and nothing to the loss.

    **Training.** One window for every ``window_step`` keyframes of a video in
    a row; which of these is its centre is drawn for each video and epoch. The
    default, ``num_clips``, shows every keyframe about once an epoch; a guess,
    as the paper names epochs only.

    **Testing.** A sample is a keyframe, to be scored with the memory of its
    window, or a slice of keyframes of one video, ``dataset[5:21]``: these, and
    all clips of their windows, each once. With 16 at a second's distance and
    N = 9 these are 24 clips in place of 144. ``DistinctVideoBatchSampler``
    asks for slices of up to ``keyframes_per_item``; scores are the same.

    Samples are ``dict(inputs=Tensor, data_samples=WindowDataSample)``; inputs
    are (clips, 3, T, H, W), in testing of different numbers, which
    :class:`AnySizeDataPreprocessor` takes.

    Args:
        ann_file (str): As in :class:`OnlineAVADataset`.
        pipeline (list[dict | Callable]): The transforms of one clip; the last
            is ``PackActionInputs`` with 'video_id' and 'timestamp' among its
            meta_keys.
        num_clips (int): N. Defaults to 9.
        clip_stride_seconds (float): Seconds from one clip to the next; the
            former name ``clip_stride`` works. Defaults to 1.
        window_step (int, optional): In training, keyframes for each window.
            Defaults to None: ``num_clips``.
        keyframes_per_item (int): In testing, most keyframes of a slice.
            Defaults to 16.
        short_video (str): What to do with videos that have fewer than
            ``num_clips`` different clips: ``'error'`` or ``'repeat'`` clips.
            Defaults to ``'error'``.
        **kwargs: Further arguments of :class:`OnlineAVADataset`.
    """

    sample_kind = 'window'
    batch_sampler = 'DistinctVideoBatchSampler'

    def __init__(self, ann_file: str, pipeline: list, num_clips: int = 9,
                 clip_stride_seconds: float = 1,
                 window_step: Optional[int] = None,
                 keyframes_per_item: int = 16, short_video: str = 'error',
                 **kwargs) -> None:
        check_choice('short_video', short_video, ('error', 'repeat'))
        self.num_clips = check_whole('num_clips', num_clips)
        self.stride_seconds = rename(kwargs, 'clip_stride_seconds',
                                     clip_stride_seconds, 'clip_stride')
        self.window_step = self.num_clips if window_step is None else \
            check_whole('window_step', window_step)
        self.keyframes_per_item = check_whole('keyframes_per_item',
                                              keyframes_per_item)
        self.short_video = short_video
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    def draws_by_epoch(self) -> bool:
        """Whether something is drawn once an epoch, as centres are."""
        return self.window_step > 1 or super().draws_by_epoch()

    # -- loading ------------------------------------------------------------

    def plan_samples(self, videos: list[dict]) -> dict[str, np.ndarray]:
        """Divides the keyframes of every video into windows."""
        super().plan_samples(videos)
        grid = self.grid
        # By video: timestamps of a stride, the least and the greatest.
        self._limits = np.asarray([(grid.steps(self.stride_seconds, v['fps']),
                                    grid.start, grid.last(Clock(v)))
                                   for v in videos])
        self._check_short(videos)
        step = 1 if self.test_mode else self.window_step
        self.summary = (f' of {self.num_clips} clips, {self.stride_seconds:g} '
                        f's apart, one for every {step} keyframes'
                        f'{self.summary}')
        # Keyframes are sorted by video.
        ends = np.cumsum(np.bincount(self.keyframes.video))
        first = np.concatenate([
            np.arange(start, end, step)
            for start, end in zip(np.append(0, ends), ends)])
        video = self.keyframes.video[first]
        return dict(video=video, position=self.keyframes.time[first],
                    first=first, end=np.minimum(first + step, ends[video]))

    def _check_short(self, videos: list[dict]) -> None:
        if self.short_video == 'repeat':
            return
        num = max_clips(self.keyframes.time,
                        *self._limits[self.keyframes.video].T)
        # Clips of a stride from any keyframe.
        most = {
            videos[v]['video_id']: int(num[self.keyframes.video == v].min())
            for v in np.unique(self.keyframes.video)}
        short = [name for name, num in most.items() if num < self.num_clips]
        if short:
            raise ValueError(
                f'{len(short)} of {len(most)} videos have fewer than '
                f'num_clips={self.num_clips} clips, {self.stride_seconds:g} s '
                f'apart: {first_names(short)}; {short[0]!r} has '
                f'{most[short[0]]}. Remedy: set num_clips or '
                "clip_stride_seconds lower, or short_video='repeat'")

    # -- samples ------------------------------------------------------------

    @force_full_init
    def item_slices(self) -> list[slice]:
        """All samples, as slices of one video and ``keyframes_per_item``."""
        videos = self.samples['video']
        ends = [*(np.flatnonzero(np.diff(videos)) + 1).tolist(), len(videos)]
        size = self.keyframes_per_item
        return [slice(i, min(i + size, end))
                for first, end in zip([0, *ends], ends)
                for i in range(first, end, size)]

    def _centres(self, idx: Union[int, slice]) -> np.ndarray:
        """Numbers of the keyframes that a sample is about."""
        numbers = range(len(self))[idx]
        if isinstance(idx, slice):
            own = slice(numbers.start, numbers.stop)
            if (not self.test_mode or not numbers or numbers.step != 1
                    or len(set(self.samples['video'][own].tolist())) > 1):
                raise IndexError(
                    f'{idx} is no sample: in test mode, a slice of samples of '
                    'one video in a row is one; see item_slices()')
            return self.samples['first'][own]
        first, end = (int(self.samples[k][numbers]) for k in ('first', 'end'))
        if not self.test_mode:
            seed = (self._state.seed, self.epoch, self.samples['video'][
                numbers])
            rng = np.random.default_rng([int(p) % 2**32 for p in seed])
            first = min(first + int(rng.integers(self.window_step)), end - 1)
        return np.asarray([first])

    @force_full_init
    def get_data_info(self, idx: Union[int, slice]) -> dict:
        """The clips of a sample; in testing also of a slice of one video.

        ``clips`` (list[dict]) is what the pipeline gets for each, in order of
        time; ``scored``, int64 (K,), are the clips that are keyframes of the
        sample, and ``windows``, int64 (K, N), the clips of their windows.
        """
        centres = self._centres(idx)
        video = int(self.keyframes.video[centres[0]])
        own = self.keyframes.time[centres]
        windows = np.stack([
            window_times(t, self.num_clips, *self._limits[video].tolist())
            for t in own.tolist()])
        if self.test_mode:
            times = np.unique(windows)
            scored = np.searchsorted(times, own)
            windows = np.searchsorted(times, windows)
        else:
            # Repeated clips stay, so that all samples have N.
            times = windows[0]
            scored = np.flatnonzero(times == own[0])[:1]
            windows = np.arange(self.num_clips)[None]
        number = range(len(self))[idx]
        common = super().get_data_info(
            number.start if isinstance(idx, slice) else number)
        if not self.test_mode:
            # PerVideoAugment draws once a sample, not once a video.
            common['aug_seed'] += (int(centres[0]) + 1) << 32
        its = self.get_video_info(video)
        clips = [dict(common, timestamp=t, **self.keyframe_keys(its, video, t))
                 for t in times.tolist()]
        return dict(
            video=video, video_id=self._video_ids[video],
            timestamp=int(own[0]), clips=clips, scored=scored, windows=windows)

    def prepare_data(self, idx: Union[int, slice]) -> Any:
        """Runs the pipeline for each clip of a sample, or of a slice."""
        info = self.get_data_info(idx)
        parts = []
        for n, clip in enumerate(info['clips']):
            part = self.run_pipeline(clip, info['video'], idx, n)
            if part is None:
                return None
            parts.append(part)
        if self.test_mode:
            numbers = range(len(self))[idx]
            for number, n in zip(numbers if isinstance(idx, slice) else
                                 [numbers], info['scored']):
                self.with_place(parts[n], number)
        return pack_window(parts, info)

    def sample_keys(self, idx: int, video: dict) -> dict:
        """Nothing but what :meth:`get_data_info` adds clip by clip."""
        return {}


def pack_window(parts: list[dict], info: dict) -> dict:
    """One sample, of what ``PackActionInputs`` gives for each of its clips.

    ``info`` is of :meth:`CollaborativeAVADataset.get_data_info`; clips that
    are not of one shape are a ValueError.
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
            torch.from_numpy(info['windows']), video_id=info['video_id'],
            timestamp=info['timestamp']))
