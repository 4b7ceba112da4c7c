# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Optional, Tuple

from mmaction.models.recognizers import Recognizer2D
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from torch import Tensor

from mmaction_memvit.memory.state import tree_map

from .collaborative import RecognizerCollaboration


@MODELS.register_module()
class CollaborativeRecognizer2D(RecognizerCollaboration, Recognizer2D):
    """Learns from N clips of each video together, over 2D backbones.

    See :class:`CollaborativeRecognizer3D`, whose arguments it has too. The
    places of a clip are those of all its frames.

    Args:
        frames_per_clip (int): Frames of a clip: as many as the backbone mixes
            (``num_segments`` of TSM), 1 of TSN if each sampled frame is a
            clip. Defaults to 1.
    """

    def __init__(self, *args, frames_per_clip: int = 1, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.frames_per_clip = frames_per_clip

    def backbone_features(self, clips: Tensor) -> object:
        """Features of clips.

        Args:
            clips (Tensor): (clips * frames_per_clip, 3, H, W).

        Returns:
            Tensor | tuple: (clips, C, frames_per_clip, H', W').
        """
        feats = super().backbone_features(clips)
        frames = self.frames_per_clip

        def by_clip(x: Tensor) -> Tensor:
            if x.ndim == 2:
                x = x[..., None, None]
            return x.unflatten(0, (-1, frames)).transpose(1, 2)

        return tree_map(by_clip, feats)

    def sampled_clips(self, sample: ActionDataSample) -> Optional[int]:
        """Clips that were sampled of a video, None if it does not tell.

        Samplers of frames call a frame, or ``clip_len`` of them, a clip.
        """
        num_clips = sample.get('num_clips')
        if num_clips is None:
            return None
        return num_clips * (sample.get('clip_len') or 1) \
            // self.frames_per_clip

    def head_input(self, feats: object) -> Tuple[object, dict]:
        """Features of frames, as stock heads take them, and their number."""
        feats = tree_map(lambda x: x.transpose(1, 2).flatten(0, 1), feats)
        return feats, dict(num_segs=self.frames_per_clip)
