# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Recognizers with collaborative memory, over 2D and 3D backbones."""
from typing import Dict, List, Optional, Tuple

import numpy as np
import torch
from mmaction.models.recognizers import Recognizer2D, Recognizer3D
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmaction.utils import OptSampleList, SampleList
from torch import Tensor

from mmaction_memvit.memory.state import cat, tree_map
from mmaction_memvit.messages import warn_once

from .clip_collaboration import ClipCollaboration

# Where the transforms ThreeCrop and TenCrop put the centre crop.
CENTRE_CROP = {1: 0, 3: 2, 10: 8}


class RecognizerCollaboration(ClipCollaboration):
    r"""Learns from N clips of each video together.

    From `Beyond Short Clips: End-to-End Video-Level Learning with
    Collaborative Memories <https://arxiv.org/abs/2104.01198>`_.
    The clips pass the backbone, share a memory in the neck, and are
    classified each by itself. The loss is (eq. 1)

        mean_n CE(s_n, y) + lambda * CE(mean_n s_n, y)

    s_n being the scores of clip n before softmax. Any head of MMAction2
    gives them, any loss of the head takes the place of CE.

    For the two modes and their gradient see :class:`ClipCollaboration`.

    Args:
        video_loss_weight (float): lambda. The paper does not give it.
            Defaults to 1.
        init_cfg (dict, optional): Of the whole model;
            ``dict(type='Pretrained', checkpoint=...)`` takes what fits of a
            checkpoint, where ``load_from`` wants the whole backbone. Defaults
            to None.
        **kwargs: For :class:`ClipCollaboration` (``mode``, ``memory_grad``,
            ``freeze_backbone``), whose errors it has, and the recognizer.
            ``neck`` may be None: clips of a video without memory, the
            baseline. ``test_cfg`` may have
            ``num_crops`` (crops of each clip, default 1; data samples whose
            metainfo has ``num_clips`` know better), ``memory_crop`` (which of
            them writes the memory; default the centre one of MMAction2's
            ThreeCrop and TenCrop) and ``max_testing_views`` (crops that pass
            the backbone at a time; scores do not depend on it).
    """

    # Frames of a clip that are entries of the batch: of 2D recognizers.
    frames_per_clip = 1

    def __init__(self, *args, video_loss_weight: float = 1.,
                 init_cfg: Optional[dict] = None, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        # MMAction2's recognizers do not take it.
        self.init_cfg = init_cfg
        self.video_loss_weight = video_loss_weight

    def run_backbone(self, clips: Tensor) -> object:
        """Features of clips (clips, ...), as in ``inputs``."""
        return super().extract_feat(clips[None], stage='backbone')[0]

    def head_input(self, feats: object) -> Tuple[object, dict]:
        """Features as the head takes them, and its keyword arguments."""
        return feats, dict()

    def num_clips(self, inputs: Tensor) -> int:
        """Clips, or crops of clips, of each video in ``inputs``."""
        num, frames = inputs.shape[1], self.frames_per_clip
        if num % frames:
            raise ValueError(
                f'{num} frames of a video are no whole number of clips of '
                f'frames_per_clip={frames}')
        return num // frames

    def sampled_clips(self, sample: ActionDataSample) -> Optional[int]:
        """Clips that were sampled of a video, None if it does not tell."""
        return sample.get('num_clips')

    def extract_feat(self, inputs: Tensor, stage: str = 'neck',
                     data_samples: OptSampleList = None,
                     test_mode: bool = False) -> Tuple:
        """Features of the clips of videos.

        Args:
            inputs (Tensor): (B, N, 3, T, H, W); of 2D recognizers (B, N *
                frames_per_clip, 3, H, W).
            stage (str): 'backbone', 'neck' or 'head'. Defaults to 'neck'.
            data_samples (list[ActionDataSample], optional): Of the videos.
            test_mode (bool): Whether the N are crops of clips, of which the
                centre ones write the memory. Defaults to False.

        Returns:
            tuple: Features of B * N clips (at stage 'head': their scores),
            and keyword arguments for the head.
        """
        num_clips = self.num_clips(inputs)
        if test_mode:
            feats = self._test_features(inputs, num_clips, data_samples)
        else:
            feats = self.scan_clips(inputs, num_clips)
        if stage == 'backbone':
            return self.head_input(feats)
        if not test_mode:
            feats = self.share_memory(feats, num_clips)
        feats, kwargs = self.head_input(feats)
        if test_mode and self.test_cfg is not None:
            kwargs['fcn_test'] = self.test_cfg.get('fcn_test', False)
        if stage == 'head' and self.with_cls_head:
            with self.clip_groups(len(inputs), num_clips):
                return self.cls_head(feats, **kwargs), kwargs
        return feats, kwargs

    def loss(self, inputs: Tensor, data_samples: SampleList,
             **kwargs) -> Dict[str, Tensor]:
        """Clip-level and video-level losses, those with the prefix ``video_``.

        Metainfo 'frame_inds' lets it see that a video has no N different
        clips, which is a ValueError. ``inputs`` as in :meth:`extract_feat`.
        """
        num_clips = self.num_clips(inputs)
        _check_lengths(data_samples, num_clips)
        scores, _ = self.extract_feat(
            inputs, stage='head', data_samples=data_samples)
        if not torch.is_tensor(scores) \
                or len(scores) != len(data_samples) * num_clips:
            raise ValueError(
                f'{type(self.cls_head).__name__} must give the scores of '
                f'{len(data_samples) * num_clips} clips as a tensor, but gave '
                f'{getattr(scores, "shape", type(scores))}')
        # MMAction2's heads cannot count accuracy in bfloat16.
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        with torch.autocast(scores.device.type, enabled=False):
            repeated = [x for x in data_samples for _ in range(num_clips)]
            losses = self.cls_head.loss_by_feat(scores, repeated)
            video = scores.unflatten(0, (-1, num_clips)).mean(1)
            video = self.cls_head.loss_by_feat(video, data_samples)
        for name, value in video.items():
            weight = self.video_loss_weight if 'loss' in name else 1
            losses[f'video_{name}'] = value * weight
        return losses

    def predict(self, inputs: Tensor, data_samples: SampleList,
                **kwargs) -> SampleList:
        """Scores of videos, averaged over their crops of clips.

        The clips of the centre crop write the memory, all crops read it.

        Args:
            inputs (Tensor): (B, crops * clips, 3, T, H, W), as ThreeCrop and
                FormatShape give them: all clips of the first crop, then of
                the next. Of 2D recognizers with the frames of a clip in
                place of each clip.
            data_samples (list[ActionDataSample]): Of the B videos; metainfo
                ``num_clips``, if there, tells crops from clips.

        Returns:
            list[ActionDataSample]: With ``pred_score``.
        """
        feats, kwargs = self.extract_feat(
            inputs, data_samples=data_samples, test_mode=True)
        return self.cls_head.predict(feats, data_samples, **kwargs)

    def _test_features(self, inputs: Tensor, num_views: int,
                       data_samples: OptSampleList) -> object:
        """Features with memory of all crops of all videos.

        The crops pass the backbone once: the memory is read from features
        that are kept, as MMAction2 keeps them for the head.
        """
        cfg = self.test_cfg or {}
        clips = inputs.flatten(0, 1)
        total = len(inputs) * num_views
        step = (cfg.get('max_testing_views') or total) * self.frames_per_clip
        feats = cat([self.backbone_features(x) for x in clips.split(step)])
        if not self.with_neck:
            return feats
        writers = self._memory_views(num_views, data_samples)
        source = feats
        if len(writers) < num_views:
            source = tree_map(
                lambda x: x.unflatten(0, (-1, num_views))
                [:, writers].flatten(0, 1), feats)
        memory = self.neck.write(source, len(writers))
        return self.neck.read(feats, memory, num_views)

    def _memory_views(self, num_views: int,
                      data_samples: OptSampleList) -> List[int]:
        """Which crops of clips write the memory."""
        cfg = self.test_cfg or {}
        if num_views == 1:
            return [0]
        told = [self.sampled_clips(x) for x in data_samples or []]
        clips = next((x for x in told if x is not None), None)
        crops = cfg.get('num_crops')
        if clips is not None:
            crops = num_views // max(clips, 1)
        elif crops is None:
            crops = 1
            warn_once(
                f'all {num_views} views of a video write its memory: they are '
                'taken for different clips, one crop of each. If they are '
                'several crops of fewer clips, tell it: '
                'test_cfg=dict(num_crops=3) in the model, or '
                "'num_clips' in PackActionInputs' meta_keys; the centre crops "
                'alone then write. If they are clips, num_crops=1 silences '
                'this')
        if clips is None:
            clips = num_views // crops
        if clips * crops != num_views:
            raise ValueError(
                f'{num_views} views of a video are not {crops} crops of its '
                f'{clips} clips: set num_crops in test_cfg to the crops that '
                "the test pipeline makes, or add 'num_clips' to "
                "PackActionInputs' meta_keys; where it is there, let "
                'frames_per_clip be that of the pipeline, and sample clips '
                'without twice_sample')
        crop = cfg.get('memory_crop', CENTRE_CROP.get(crops))
        if crop is None or not 0 <= crop < crops:
            raise ValueError(
                f'memory_crop={crop} names none of {crops} crops: set it in '
                'test_cfg to the place of the centre crop, from 0. If there '
                'are not so many crops, see whether SampleFrames has '
                'twice_sample, which makes more clips than it tells')
        return list(range(crop * clips, (crop + 1) * clips))


def _check_lengths(data_samples: SampleList, num_clips: int) -> None:
    """Raise an error if the N clips of a video are known to repeat.

    What was sampled tells, not the length of the video: how many clips that
    has depends on options of the transform which samples do not carry.
    """
    for sample in data_samples:
        frames = sample.get('frame_inds')
        if frames is None or len(frames) % num_clips:
            continue
        clips = np.reshape(frames, (num_clips, -1))
        num = len(np.unique(clips, axis=0))
        if num < num_clips:
            name = sample.get('video_id')
            raise ValueError(
                f'a video{f" ({name})" if name else ""} gave {num} different '
                f'clips, not {num_clips}: sample fewer clips (num_clips of '
                'SampleFrames) or shorter ones, leave short videos out, or, '
                'to let clips repeat, also by chance as with '
                "keep_tail_frames=True, take 'frame_inds' from "
                "PackActionInputs' meta_keys")


@MODELS.register_module()
class CollaborativeRecognizer3D(RecognizerCollaboration, Recognizer3D):
    __doc__ = RecognizerCollaboration.__doc__


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
