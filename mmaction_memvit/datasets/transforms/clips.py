# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Frames, labels and boxes of what is shown."""
from typing import Optional

import numpy as np
import torch
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from ...video.frames import Clock, choose_by_time

# What belongs to the rows of the boxes.
_BELONGING = {'gt_bboxes': ('gt_labels', 'entity_ids'),
              'proposals': ('scores', 'orig_proposals')}


def _need(results: dict, key: str, owner: object, source: str) -> None:
    if key not in results:
        raise KeyError(f'{type(owner).__name__} needs results[{key!r}]. '
                       f'Remedy: use {source}, which gives it')


@TRANSFORMS.register_module()
class SampleKeyframeClip(BaseTransform):
    """Chooses ``clip_len`` frames around a keyframe.

    The clip begins ``clip_len // 2`` intervals before the keyframe, which is
    then its frame number ``clip_len // 2``. An interval is ``frame_interval``
    frames at ``sample_fps``, whatever the rate of the file: a clip lasts
    equally long in all videos. Frames before the start or after the end of
    the video are its first or last one.

    Required are ``center_frame`` (int, from 0), ``total_frames`` and, unless
    ``sample_fps`` is None, ``fps``; ``start_index`` counts where given. Added
    are ``frame_inds`` (int64, (clip_len, )), ``clip_len``, ``frame_interval``
    and ``num_clips``.

    Args:
        clip_len (int): Number of frames.
        frame_interval (int): Frames from one to the next, at ``sample_fps``.
        sample_fps (float, optional): Frames per second that
            ``frame_interval`` counts at; None to count frames of the file.
            Defaults to 30.
        perturb (bool): Whether every frame moves by up to half an interval
            at random, the first and the last one only inwards: MeMViT's
            augmentation, for training. Defaults to False.
    """

    def __init__(self, clip_len: int, frame_interval: int,
                 sample_fps: Optional[float] = 30.,
                 perturb: bool = False) -> None:
        self.clip_len = clip_len
        self.frame_interval = frame_interval
        self.sample_fps = sample_fps
        self.perturb = perturb

    def transform(self, results: dict) -> dict:
        """Chooses the frames."""
        scale = 1.
        if self.sample_fps is not None:
            scale = float(results['fps']) / self.sample_fps
        steps = np.arange(self.clip_len) - self.clip_len // 2
        moves = np.rint(steps * self.frame_interval * scale).astype(np.int64)
        if self.perturb:
            moves += self._draw(scale)
        inds = np.clip(results['center_frame'] + moves, 0,
                       results['total_frames'] - 1)
        results['frame_inds'] = inds + results.get('start_index', 0)
        results['clip_len'] = self.clip_len
        results['frame_interval'] = self.frame_interval
        results['num_clips'] = 1
        return results

    def _draw(self, scale: float) -> np.ndarray:
        # The dataset seeds NumPy's global generator for every sample.
        reach = int(round(self.frame_interval * scale, 6) // 2)
        low = np.full(self.clip_len, -reach)
        high = np.full(self.clip_len, reach)
        low[0], high[-1] = 0, 0
        return np.random.randint(low, high + 1)

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(clip_len={self.clip_len}, '
                f'frame_interval={self.frame_interval}, '
                f'sample_fps={self.sample_fps}, perturb={self.perturb})')


@TRANSFORMS.register_module()
class TrimToSegment(BaseTransform):
    """Lets MMAction2's samplers see a segment as if it were the video.

    ``DecordInit``, ``PyAVInit`` and ``OpenCVInit`` set ``total_frames`` to
    that of the whole file. Placed after one of these and before
    ``SampleFrames``, ``UniformSample`` and the like, this transform restores
    what the data set said; frame numbers then lie within the segment, and
    decoding transforms find them. With frame folders or ``LoadVideoClip`` it
    is not needed, and does no harm.

    Required is ``segment_frames``, first and last frame from 0, inclusive, of
    :class:`EpicDataset`, which is cut where the file is shorter; set are
    ``total_frames`` and ``start_index``.
    """

    def transform(self, results: dict) -> dict:
        """Restricts the sample to its segment."""
        _need(results, 'segment_frames', self, 'EpicDataset')
        first, last = results['segment_frames']
        if 'video_reader' in results:
            # A cut-off file has fewer frames than the annotations think.
            end = int(results['total_frames']) - 1
            first, last = (int(np.clip(x, 0, max(end, 0)))
                           for x in (first, last))
        results['segment_frames'] = (first, last)
        results['total_frames'] = last - first + 1
        results['start_index'] = results.get('first_number', 0) + first
        return results


@TRANSFORMS.register_module()
class LabelSampledClips(BaseTransform):
    """Keeps, of a video's labels, those of actions that its clips show.

    Placed anywhere after ``SampleFrames``, in training only: videos are
    scored against all of their actions. An action counts if it shares time
    with a clip, that is, with what lies between the start of the clip's first
    frame and the end of its last; several clips of a sample have one label,
    with the actions of all of them.

    Required are ``actions`` (A, ) and ``action_times`` (A, 2) of
    :class:`CharadesDataset` (an action with NaN is never shown),
    ``frame_inds``, ``num_clips``, ``fps``, ``start_index``, ``total_frames``
    and ``label`` (Tensor), many-hot, which is set.
    """

    def transform(self, results: dict) -> dict:
        """Chooses the labels."""
        _need(results, 'action_times', self, 'CharadesDataset')
        _need(results, 'frame_inds', self, 'SampleFrames before it')
        frames = np.reshape(results['frame_inds'], (results['num_clips'], -1))
        frames = frames - results['start_index']
        clock = Clock({**results, 'num_frames': results['total_frames']})
        first = clock.seconds_at(frames.min(1))
        last = clock.seconds_at(frames.max(1) + 1)
        start, end = np.reshape(results['action_times'], (-1, 2)).T
        # (actions, clips); comparisons with NaN are false.
        shown = (start[:, None] < last) & (end[:, None] > first)
        label = torch.zeros_like(results['label'])
        label[results['actions'][shown.any(1)]] = 1
        results['label'] = label
        return results


@TRANSFORMS.register_module()
class SampleObservedFrames(BaseTransform):
    """Chooses frames up to the last one seen before a segment.

    For anticipation by :class:`EpicDataset`. The last frame is the last that
    is observed, the others are ``interval_seconds`` apart before it; where the
    observation is shorter, its first frame is repeated.

    Required are ``segment_frames``, ``first_number``, ``fps``, and with
    ``label_frames`` ``segment_times`` and ``segment_labels`` of
    :class:`EpicDataset`. Added are ``frame_inds`` (int64, (clip_len, )),
    ``clip_len``, ``frame_interval`` (frames of the video) and ``num_clips``.

    Args:
        clip_len (int): Number of frames.
        interval_seconds (float): From one to the next. Defaults to 1.
        label_frames (bool): Whether ``label``, of (3, ), becomes (clip_len +
            1, 3): verb, noun and action that go on at each frame, -1 for
            none, and at last those of the segment, as :class:`AVTHead`
            learns. Defaults to True.
    """

    def __init__(self, clip_len: int, interval_seconds: float = 1.,
                 label_frames: bool = True) -> None:
        self.clip_len = clip_len
        self.interval_seconds = interval_seconds
        self.label_frames = label_frames

    def transform(self, results: dict) -> dict:
        """Chooses the frames."""
        _need(results, 'segment_frames', self, 'EpicDataset')
        first, last = results['segment_frames']
        clock = Clock({**results, 'num_frames': last + 1})
        before = np.arange(self.clip_len)[::-1] * self.interval_seconds
        frames = clock.frame_at(clock.seconds_at(last) - before)
        frames = np.maximum(frames, first)
        if self.label_frames:
            _need(results, 'segment_times', self,
                  "EpicDataset with task='anticipation'")
            rows = choose_by_time(
                clock.seconds_at(frames), results['segment_times'])
            # The last row is that of no segment.
            table = np.append(results['segment_labels'], [[-1] * 3], 0)
            results['label'] = np.append(table[rows], [results['label']], 0)
        results['frame_inds'] = frames + results['first_number']
        results['clip_len'] = self.clip_len
        results['frame_interval'] = round(
            self.interval_seconds * results['fps'])
        results['num_clips'] = 1
        return results

    def __repr__(self) -> str:
        return (f'{self.__class__.__name__}(clip_len={self.clip_len}, '
                f'interval_seconds={self.interval_seconds}, '
                f'label_frames={self.label_frames})')


@TRANSFORMS.register_module()
class DropLostBoxes(BaseTransform):
    """Takes away the boxes that a random crop has left nothing of.

    MMAction2's crops clip boxes at the border, so that a box outside becomes
    a line there: features without meaning under the labels of a person who
    is not in the picture. For training; in testing, where each proposal is
    to have a result, it does not belong. A clip may be left without a box.

    Stands after the last crop, in or after ``PerVideoAugment``. Required are
    ``gt_bboxes`` (in pixels), to which ``gt_labels`` and ``entity_ids``
    belong; ``proposals``, where given, lose theirs.

    Args:
        min_size (float): Least width and height in pixels. Defaults to 1.
    """

    def __init__(self, min_size: float = 1.) -> None:
        self.min_size = min_size

    def transform(self, results: dict) -> dict:
        """Drops the boxes."""
        for key, others in _BELONGING.items():
            boxes = results.get(key)
            if boxes is None:
                continue
            sizes = boxes[:, 2:] - boxes[:, :2]
            # With min_size=0 lines go as well.
            seen = (sizes >= self.min_size).all(1) & (sizes > 0).all(1)
            for name in (key, *others):
                if results.get(name) is not None:
                    results[name] = np.asarray(results[name])[seen]
        return results
