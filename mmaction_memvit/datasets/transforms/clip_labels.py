# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Labels of what the sampled clips show."""
import numpy as np
import torch
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from ...video.frames import Clock


@TRANSFORMS.register_module()
class LabelSampledClips(BaseTransform):
    """Keeps, of a video's labels, those of actions that its clips show.

    Placed anywhere after ``SampleFrames``. An action counts if it shares
    time with a clip, that is, with what lies between the start of the clip's
    first frame and the end of its last; several clips of a sample have one
    label, with the actions of all of them. Without this transform the labels
    are those of the whole video. For training only: videos are scored
    against all of their actions.

    Required Keys:

        - actions (np.ndarray): int64 of shape (A, ), classes
        - action_times (np.ndarray): float64 of shape (A, 2), start and end in
          seconds; actions of which one is NaN are never shown
        - frame_inds (np.ndarray): (num_clips * clip_len, )
        - num_clips (int), fps (float), start_index, total_frames (ints)
        - frame_table (optional)
        - label (Tensor): many-hot, of shape (num_classes, )

    Modified Keys:

        - label (Tensor): of the same shape and dtype
    """

    def transform(self, results: dict) -> dict:
        """Chooses the labels."""
        for key, source in (('action_times', 'CharadesDataset'),
                            ('frame_inds', 'SampleFrames before it')):
            if key not in results:
                raise KeyError(f'LabelSampledClips needs results[{key!r}]. '
                               f'Remedy: use {source}, which gives it')
        frames = np.reshape(results['frame_inds'],
                            (results['num_clips'], -1))
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
