# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Which frames of a stream are its clips, as the test data of a config say.

A plan knows, by the clock of a stream or file: which frames clip p shows,
when it is complete, and how many clips there are at the end. It is the
arithmetic of the data sets, so that a stream gives the clips that testing
gives.
"""
from typing import List, Optional, Tuple

import numpy as np
from mmengine.config import ConfigDict

from mmaction_memvit.datasets.grid import ClipGrid, KeyframeGrid
from mmaction_memvit.datasets.transforms import SampleKeyframeClip
from mmaction_memvit.video.frames import SAME_TIME, Clock

# More frames than any stream has.
_NO_END = 2**62


def steady_clock(fps: float, num_frames: int = _NO_END) -> Clock:
    """The clock of a stream, by default of one that has not ended."""
    return Clock(dict(fps=fps, num_frames=num_frames))


class _Plan:
    """What plans have in common."""

    def describe(self) -> str:
        """The plan as text: equal for equal clips."""
        grid = ', '.join(f'{k}={v}' for k, v in vars(self.grid).items())
        return (f'{self.clip_len} x {self.frame_interval} frames at '
                f'{self.sample_fps or "any"} fps from {self.first} on, {grid}')


class ClipPlan(_Plan):
    """Clips one after the other, see :class:`ClipGrid`.

    The grid counts frames at ``sample_fps``; None: those of the stream.
    """

    #: Position of clip 0 in its stream.
    first = 0

    def __init__(self, grid: ClipGrid,
                 sample_fps: Optional[float] = None) -> None:
        self.grid = grid
        self.clip_len = grid.clip_len
        self.frame_interval = grid.frame_interval
        self.sample_fps = sample_fps

    def wanted(self, clip: int, clock: Clock) -> np.ndarray:
        """Numbers of the frames of a clip, int64 (clip_len, ), ascending."""
        if self.sample_fps is None:
            return self.grid.frame_inds(clip, clock.num_frames)
        steps = np.arange(self.clip_len) * self.frame_interval
        return clock.frame_at(clip * self.grid.clip_stride / self.sample_fps
                              + steps / self.sample_fps)

    def complete(self, clip: int, fps: float) -> int:
        """Frames that must have come until a clip is complete."""
        end = clip * self.grid.clip_stride + self.grid.span
        if self.sample_fps is None:
            return end
        frames = int(np.ceil((end - SAME_TIME) * fps / self.sample_fps))
        # Rounding must not put it off by a frame.
        return frames + int(self._frames(steady_clock(fps, frames)) < end)

    def num_clips(self, clock: Clock) -> int:
        """Clips of a stream that has ended, the padded last one included."""
        return self.grid.num_clips(max(1, self._frames(clock)))

    def _frames(self, clock: Clock) -> int:
        """Length of a stream in frames of the grid."""
        if self.sample_fps is None:
            return clock.num_frames
        return int(clock.end * self.sample_fps + SAME_TIME)

    def start_seconds(self, clip: int, clock: Clock) -> float:
        """What the data set calls the time of a clip."""
        return self.seconds(clip, clock)[0]

    def seconds(self, clip: int, clock: Clock) -> Tuple[float, float]:
        """Start and end of a clip."""
        start = clip * self.grid.clip_stride
        span = np.array([start, start + self.grid.span])
        if self.sample_fps is None:
            span = clock.seconds_at(np.minimum(span, clock.num_frames))
        else:
            span = span / self.sample_fps
        return float(span[0]), float(span[1])


class KeyframePlan(_Plan):
    """Clips around keyframes, whose frames ``sample`` chooses.

    ``first`` is the timestamp of the first keyframe.
    """

    def __init__(self, grid: KeyframeGrid, first: int,
                 sample: SampleKeyframeClip) -> None:
        self.grid = grid
        self.first = first
        self.sample = sample
        self.clip_len = sample.clip_len
        self.frame_interval = sample.frame_interval
        self.sample_fps = sample.sample_fps

    def keyframe(self, clip: int, clock: Clock) -> int:
        """Number of a clip's keyframe."""
        return self.grid.frame_of(self.first + clip, clock)

    def wanted(self, clip: int, clock: Clock) -> np.ndarray:
        """Numbers of the frames of a clip, int64 (clip_len, ), ascending."""
        results = dict(center_frame=self.keyframe(clip, clock),
                       total_frames=clock.num_frames, fps=clock.fps)
        return self.sample.transform(results)['frame_inds']

    def complete(self, clip: int, fps: float) -> int:
        """Frames that must have come until a clip is complete."""
        clock = steady_clock(fps)
        return int(max(self.wanted(clip, clock)[-1],
                       self.keyframe(clip, clock))) + 1

    def num_clips(self, clock: Clock) -> int:
        """Clips of a stream that has ended, the padded ones included."""
        return max(0, self.grid.last(clock) - self.first + 1)

    def start_seconds(self, clip: int, clock: Clock) -> float:
        """When the keyframe is shown."""
        return float(self.grid.seconds_of(self.first + clip, clock))

    def seconds(self, clip: int, clock: Clock) -> Tuple[float, float]:
        """Start and end of a clip."""
        inds = self.wanted(clip, clock)
        span = clock.seconds_at(np.array([inds[0], inds[-1] + 1]))
        return float(span[0]), float(span[1])


def plan_of(dataset: ConfigDict, sample_fps: Optional[float] = None,
            **grid: int):
    """The plan of a config's test data.

    Args:
        dataset (ConfigDict): Its ``test_dataloader.dataset``.
        sample_fps (float, optional): Frames per second that clips count at.
            Defaults to None: as the config says; without a word there, the
            frames of the stream.
        **grid: Options of :class:`ClipGrid` in place of the config's.

    Returns:
        ClipPlan | KeyframePlan: The plan.

    Raises:
        ValueError: If the data have no clips of frames in order.
    """
    if 'feature' in (dataset.get('data_prefix') or ()):
        raise ValueError(
            f'data_prefix={dict(dataset["data_prefix"])} of the test data are '
            'features, not frames. Remedy: the config of the videos, whose '
            "model has init_cfg=dict(type='Pretrained', ...) for its backbone")
    kind = kind_of(dataset)
    if kind in ('OnlineVideoDataset', 'OnlineEpicDataset'):
        default = 30. if kind == 'OnlineEpicDataset' else None
        grid = {
            'clip_len': dataset.get('clip_len', 16),
            'frame_interval': dataset.get('frame_interval', 4),
            'clip_stride': dataset.get('clip_stride'),
            'last_clip': dataset.get('last_clip', 'pad'),
            **grid}
        return ClipPlan(
            ClipGrid(**grid), sample_fps or dataset.get('sample_fps', default))
    for step in dataset.get('pipeline', ()):
        step = dict(step)
        name = kind_of(step)
        if name == 'SampleFrames':
            grid = {'clip_len': step['clip_len'],
                    'frame_interval': step.get('frame_interval', 1), **grid}
            return ClipPlan(
                ClipGrid(**grid), sample_fps or step.get('target_fps'))
        if name == 'SampleKeyframeClip' and kind == 'OnlineAVADataset':
            return _keyframe_plan(dataset, step, sample_fps)
    raise ValueError(
        f"the config's test data are a {kind}, whose clips have no place in "
        'a stream; use OnlineVideoDataset, OnlineEpicDataset, '
        'OnlineAVADataset, or a pipeline with SampleFrames')


def _keyframe_plan(dataset: ConfigDict, step: dict,
                   sample_fps: Optional[float]) -> KeyframePlan:
    step.pop('type')
    step.pop('perturb', None)
    if sample_fps is not None:
        step['sample_fps'] = sample_fps
    start = dataset.get('timestamp_start', 0)
    grid = KeyframeGrid(start, rate=dataset.get('keyframe_rate', 1))
    first = (dataset.get('keyframe_range') or (start, ))[0]
    return KeyframePlan(grid, max(first, start), SampleKeyframeClip(**step))


_SAMPLERS = ('SampleFrames', 'SampleKeyframeClip')
_LOADERS = ('LoadVideoClip', 'DecordInit', 'DecordDecode', 'PyAVInit',
            'PyAVDecode', 'OpenCVInit', 'OpenCVDecode', 'RawFrameDecode')


def frame_pipeline(pipeline: List[dict]) -> List[dict]:
    """What a pipeline does with frames once it has them."""
    kept = []
    for step in pipeline:
        if kind_of(step) not in (*_SAMPLERS, *_LOADERS):
            kept.append(step)
        elif step.get('short_side'):
            kept.append(dict(type='Resize', scale=(-1, step['short_side'])))
        elif step.get('size'):
            kept.append(
                dict(type='Resize', scale=tuple(step['size']),
                     keep_ratio=False))
    return kept


def frame_loader(pipeline: List[dict]) -> dict:
    """The step of a pipeline that reads frames, as LoadVideoClip."""
    for step in pipeline:
        if kind_of(step) == 'LoadVideoClip':
            return dict(step)
    return dict(type='LoadVideoClip')


def kind_of(cfg: dict) -> str:
    """Name of a config's type, without scope and module."""
    kind = cfg['type']
    return getattr(kind, '__name__', str(kind)).split('.')[-1]
