# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What recognizers and detectors with collaborative memory have in common."""
from contextlib import nullcontext
from typing import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmaction_memvit.memory.state import num_lanes, tree_map
from mmaction_memvit.messages import check_choice

from ..layers.clip_batch_norm import ClipGroups, group_batch_norms

SCAN_MODES = ('batch', 'multi_iteration')


class ClipCollaboration:
    """Mixin of models that train on N clips of each video together.

    From `Collaborative Memories <https://arxiv.org/abs/2104.01198>`_.
    The clips pass the backbone (:meth:`scan_clips`) and share a memory in the
    neck (:meth:`share_memory`); a loss of any kind follows.

    Two ways to fit N clips into memory, of the same losses, running averages
    and gradients (docs/collaborative.md derives them):

    - ``'batch'``: all clips of all videos are one batch.
    - ``'multi_iteration'``: scan 1 runs the backbone clip by clip and keeps
      the last features X_n, of which memory, scores and loss are computed; in
      the backward pass scan 2 runs it again, clip by clip, with gradient.
      Activations of one clip, a third more time.

    ``memory_grad=False`` takes the memory for a constant to the backbone, the
    other reading of the paper's 'scan 1 without gradient'; W_k and W_v still
    learn. It saves neither time nor memory.

    Args:
        mode (str): 'batch' or 'multi_iteration'. Defaults to 'batch'.
        memory_grad (bool): Whether clips learn through what they write into
            the memory. Defaults to True.
        freeze_backbone (bool): Whether the backbone stays as it is, in
            evaluation mode, and only neck and head learn. Defaults to False.
        *args, **kwargs: For the model.

    Raises:
        ValueError: If ``mode`` is unknown; in use, if a checkpoint is loaded
            that is not of this backbone.
        TypeError: If the neck is not one with memory, or the model has batch
            normalisation that cannot be grouped.
    """

    def __init__(self, *args, mode: str = 'batch', memory_grad: bool = True,
                 freeze_backbone: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        check_choice('mode', mode, SCAN_MODES)
        if self.with_neck and not hasattr(self.neck, 'write'):
            raise TypeError(
                f'{type(self).__name__} takes CollaborativeMemory as its '
                f'neck, or none, but got {type(self.neck).__name__}')
        self.scan_mode = mode
        self.memory_grad = memory_grad
        self.freeze_backbone = freeze_backbone
        if freeze_backbone:
            self.backbone.requires_grad_(False)
        self.clip_groups = ClipGroups()
        self._set_norms()

    def train(self, mode: bool = True) -> 'ClipCollaboration':
        """Set training mode; a frozen backbone stays in evaluation."""
        super().train(mode)
        # Here too, because the runner may have put in SyncBatchNorm.
        self._set_norms()
        return self

    def _set_norms(self) -> None:
        if self.freeze_backbone:
            self.backbone.eval()
        for name, child in self.named_children():
            if not (self.freeze_backbone and name == 'backbone'):
                group_batch_norms(child, self.clip_groups)

    def run_backbone(self, clips: Tensor) -> object:
        """Features of clips (clips, 3, T, H, W)."""
        return self.backbone(clips)

    def backbone_features(self, clips: Tensor) -> object:
        """Features of clips, with gradient unless the backbone is frozen."""
        with torch.set_grad_enabled(torch.is_grad_enabled()
                                    and not self.freeze_backbone):
            return self.run_backbone(clips)

    def scan_clips(self, inputs: Tensor, num_clips: int) -> object:
        """Features of the backbone, by ``mode``, of B * N clips in rows.

        ``inputs`` are (B, N, ...), of 2D recognizers (B, N * frames_per_clip,
        ...).
        """
        num_videos = len(inputs)
        if self.scan_mode == 'batch':
            with self.clip_groups(num_videos, num_clips):
                return self.backbone_features(inputs.flatten(0, 1))
        parts = []
        for n, clip in enumerate(inputs.chunk(num_clips, 1)):
            with self.clip_groups(num_videos, 1, 1 / num_clips, n == 0):
                parts.append(
                    checkpoint(
                        # What is kept until scan 2 is a view.
                        lambda x: self.backbone_features(x.flatten(0, 1)),
                        clip,
                        use_reentrant=False,
                        context_fn=self._contexts(num_videos, 1)))
        # Clip 1, 2, ..., N of B videos to B * N clips.
        return tree_map(lambda *x: torch.stack(x, 1).flatten(0, 1), *parts)

    def share_memory(self, feats: object, num_clips: int) -> object:
        """Let the N clips of each video share a memory, if there is a neck."""
        if not self.with_neck:
            return feats
        num_videos = num_lanes(feats) // num_clips
        with self.clip_groups(num_videos, num_clips):
            if self.scan_mode == 'batch':
                return self._remember(feats, num_clips)
            return checkpoint(self._remember, feats, num_clips,
                              use_reentrant=False,
                              context_fn=self._contexts(num_videos, num_clips))

    def _contexts(self, num_videos: int, num_clips: int) -> Callable:
        """Contexts of a checkpoint: that around it, and when repeated."""
        return lambda: (nullcontext(),
                        self.clip_groups(num_videos, num_clips, share=0))

    def _remember(self, feats: object, num_clips: int) -> object:
        """Features with memory of B * N clips."""
        source = feats
        if not self.memory_grad:
            source = tree_map(Tensor.detach, feats)
        memory = self.neck.write(source, num_clips)
        return self.neck.read(feats, memory, num_clips)
