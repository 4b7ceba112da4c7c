# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What 2D and 3D recognizers with collaborative memory have in common."""
from typing import Dict, List, Optional, Tuple

import numpy as np
import torch
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
        mode (str): 'batch' or 'multi_iteration'. Defaults to 'batch'.
        video_loss_weight (float): lambda. The paper does not give it.
            Defaults to 1.
        memory_grad (bool): Whether clips learn through what they write into
            the memory. Defaults to True.
        freeze_backbone (bool): Whether the backbone stays as it is, in
            evaluation mode, and only neck and head learn. Defaults to False.
        init_cfg (dict, optional): Of the whole model;
            ``dict(type='Pretrained', checkpoint=...)`` takes what fits of a
            checkpoint, where ``load_from`` wants the whole backbone. Defaults
            to None.
        **kwargs: For the recognizer. ``neck`` may be None: clips of a video
            without memory, the baseline. ``test_cfg`` may have
            ``num_crops`` (crops of each clip, default 1; data samples whose
            metainfo has ``num_clips`` know better), ``memory_crop`` (which of
            them writes the memory; default the centre one of MMAction2's
            ThreeCrop and TenCrop) and ``max_testing_views`` (crops that pass
            the backbone at a time; scores do not depend on it).

    Raises:
        ValueError: If ``mode`` is unknown; in use, if a checkpoint is loaded
            that is not of this backbone.
        TypeError: If the neck is not one with memory, or the model has batch
            normalisation that cannot be grouped.
    """

    # Frames of a clip that are entries of the batch: of 2D recognizers.
    frames_per_clip = 1

    def __init__(self,
                 *args,
                 mode: str = 'batch',
                 video_loss_weight: float = 1.,
                 memory_grad: bool = True,
                 freeze_backbone: bool = False,
                 init_cfg: Optional[dict] = None,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        # MMAction2's recognizers do not take it.
        self.init_cfg = init_cfg
        self.video_loss_weight = video_loss_weight
        self.init_collaboration(mode, memory_grad, freeze_backbone)

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

    def extract_feat(self,
                     inputs: Tensor,
                     stage: str = 'neck',
                     data_samples: OptSampleList = None,
                     test_mode: bool = False) -> Tuple:
        """Features of the clips of videos.

        Args:
            inputs (Tensor): (B, N, 3, T, H, W); of 2D recognizers (B, N *
                frames_per_clip, 3, H, W).
            stage (str): 'backbone', 'neck' or 'head'. Defaults to 'neck'.
            data_samples (list[ActionDataSample], optional): Of the videos.
                Defaults to None.
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
        """Clip-level and video-level losses.

        Args:
            inputs (Tensor): (B, N, 3, T, H, W); of 2D recognizers (B, N *
                frames_per_clip, 3, H, W).
            data_samples (list[ActionDataSample]): With the labels of the B
                videos. Metainfo 'frame_inds' lets it see that a video has
                no N different clips.

        Returns:
            dict: What the head's loss gives for the clips, and, with the
            prefix ``video_``, for the means of their scores.

        Raises:
            ValueError: If a video is too short for N different clips.
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
        feats = cat(
            [self.backbone_features(x) for x in clips.split(step)])
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
        crops = cfg.get('num_crops')
        for sample in data_samples or []:
            clips = self.sampled_clips(sample)
            if clips is None:
                continue
            if clips < 1 or num_views % clips:
                raise ValueError(
                    f'{num_views} views of a video are not crops of the '
                    f'{clips} clips that its metainfo num_clips='
                    f'{sample.num_clips} tells of: let frames_per_clip be '
                    'that of the test pipeline, and sample clips without '
                    "twice_sample; or take 'num_clips' from "
                    "PackActionInputs' meta_keys, and set num_crops in "
                    'test_cfg')
            crops = num_views // clips
            break
        if crops is None:
            crops = 1
            warn_once(
                f'all {num_views} views of a video write its memory: they are '
                'taken for different clips, one crop of each. If they are '
                'several crops of fewer clips, tell it: '
                'test_cfg=dict(num_crops=3) in the model, or '
                "'num_clips' in PackActionInputs' meta_keys; the centre crops "
                'alone then write. If they are clips, num_crops=1 silences '
                'this')
        clips = num_views // crops
        if clips * crops != num_views:
            raise ValueError(
                f'{num_views} views of a video are not {crops} crops of its '
                'clips: set num_crops in test_cfg to the crops that the test '
                "pipeline makes, or add 'num_clips' to PackActionInputs' "
                'meta_keys')
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
