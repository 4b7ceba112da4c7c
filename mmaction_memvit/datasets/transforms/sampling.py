# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Choice of the frames of a clip."""
from typing import Optional

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform


@TRANSFORMS.register_module()
class SampleKeyframeClip(BaseTransform):
    """Chooses ``clip_len`` frames around a keyframe.

    The clip begins ``clip_len // 2`` intervals before the keyframe, which is
    then its frame number ``clip_len // 2``. An interval is ``frame_interval``
    frames at ``sample_fps``, whatever the rate of the file: a clip lasts
    equally long in all videos. Frames before the start or after the end of
    the video are its first or last one.

    Required Keys:

        - center_frame (int): number of the keyframe's frame, from 0
        - total_frames (int)
        - fps (float), unless ``sample_fps`` is None
        - start_index (optional): number of the first frame in file names

    Added Keys:

        - frame_inds (np.ndarray): int64 of shape (clip_len,)
        - clip_len, frame_interval, num_clips (ints)

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

    def __init__(self,
                 clip_len: int,
                 frame_interval: int,
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
