# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Batch normalisation over clips of different videos only.

With N clips of each of B videos in a batch, `Collaborative Memories
<https://arxiv.org/abs/2104.01198>`_ take the statistics of batch normalisation
over groups that hold one clip of every video. Clips of a video look alike;
together in a group they would make the statistics those of fewer videos.
"""
from typing import ContextManager, List, NamedTuple, Optional, Tuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from mmengine.model.utils import _BatchNormXd
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from mmaction_memvit.messages import warn_once

# Clips of a group below which there is a warning.
FEW = 4
_REMEDY = (
    'take more videos in a batch, 8 or so over all processes; several GPUs '
    "count together with sync_bn='torch' (norm_cfg=dict(type='SyncBN')), "
    'which does nothing on one; else do without statistics: '
    'model.neck.norm_cfg=None and model.backbone.norm_eval=True')


class Groups(NamedTuple):
    """How a batch is made; fields as the arguments of ClipGroups."""
    num_videos: int
    num_clips: int
    share: float = 1.
    first: bool = True


class ClipGroups:
    """Tells the batch normalisation of one model how the batch is made.

    The batch is ordered by video, then clip, then frame of the clip, if
    frames are what it counts. Clip n of all videos makes up group n.

    The running averages move once per training step, towards the mean of
    the groups' statistics. A step whose clips come in several passes says
    so by ``share`` and ``first``, and moves them just as far.

    What is computed in training after a context has ended, in no other one,
    is taken for what a backbone's own checkpointing (``with_cp``) computes
    again in the backward pass: it has the groups of that context, and the
    running averages stay.
    """

    def __init__(self) -> None:
        # Not a context variable: the backward pass can run in another thread.
        self.now: Optional[Groups] = None
        self.depth = 0

    def __call__(self, num_videos: int, num_clips: int, share: float = 1.,
                 first: bool = True) -> ContextManager:
        """Context of a pass; it may be entered again.

        Args:
            num_videos (int): B.
            num_clips (int): Clips of each video in this batch.
            share (float): Which part of the step's clips these are. 0: none,
                the running averages stay (it is computed again). Defaults to
                1.
            first (bool): Whether they are the step's first. Defaults to True.
        """
        return _Pass(self, Groups(num_videos, num_clips, share, first))


class _Pass:

    def __init__(self, owner: ClipGroups, groups: Groups) -> None:
        self.owner, self.groups = owner, groups
        self.before: List[Optional[Groups]] = []

    def __enter__(self) -> None:
        self.before.append(self.owner.now)
        self.owner.now = self.groups
        self.owner.depth += 1

    def __exit__(self, *args) -> None:
        self.owner.depth -= 1
        before = self.before.pop()
        self.owner.now = (
            before if self.owner.depth else self.groups._replace(share=0))


class _ClipNorm:
    """Mixin: normalises each group of clips by itself, in training."""

    # Whether groups reach over several processes.
    _synchronized = False
    # Shared by the norms of a model, whose host sets it.
    clip_groups: Optional[ClipGroups] = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (batch, C, ...), the batch as :class:`ClipGroups` tell.

        If they tell nothing it is normalised as a whole.
        """
        groups = self.clip_groups and self.clip_groups.now
        if groups is None or not self.training:
            return super().forward(x)
        self._check_input_dim(x)
        shape = x.shape
        num_videos, num_clips = groups.num_videos, groups.num_clips
        if shape[0] % (num_videos * num_clips):
            raise ValueError(
                f'a batch of {shape[0]} does not hold {num_clips} clips of '
                f'each of {num_videos} videos, which batch normalisation was '
                'told to keep apart')
        # Clips become channels: this is a view, except for several frames.
        x = x.reshape(num_videos, num_clips, -1, *shape[1:])
        x = x.transpose(1, 2).reshape(-1, num_clips * shape[1], *shape[2:])
        if x[:, 0].numel() == 1 and not self._synchronized:
            raise ValueError(
                'batch normalisation over clips of different videos has one '
                f'value per channel, because there is one video: {_REMEDY}')
        in_group = num_videos * self._num_processes()
        if in_group < FEW and groups.share:
            warn_once(
                'batch normalisation over clips of different videos has '
                f'groups of {in_group} clips, which are few for statistics: a '
                'gate of the memory sees one value of each clip. Remedy: '
                f'{_REMEDY}')
        y, mean, var = self._normalize(x, num_clips)
        if self.track_running_stats and groups.share:
            self._track(mean, var, groups)
        y = y.reshape(num_videos, -1, num_clips, *shape[1:]).transpose(1, 2)
        if shape[0] > num_videos * num_clips:
            return y.reshape(shape)
        # No view to autograd: what follows may work in place, and through a
        # view its gradient would be copied three times.
        return torch.ops.aten._unsafe_view(y, shape)

    def _num_processes(self) -> int:
        """Processes that groups reach over."""
        return 1

    def _normalize(self, x: Tensor,
                   num_clips: int) -> Tuple[Tensor, Tensor, Tensor]:
        """Normalised (B, N * C, ...), means and unbiased variances."""
        stats = self._stats_like(x)
        weight, bias = self._affine(num_clips)
        y = F.batch_norm(
            x, *stats, weight, bias, training=True, momentum=1., eps=self.eps)
        return (y, *stats)

    def _stats_like(self, x: Tensor) -> Tuple[Tensor, ...]:
        like = self.running_mean if self.track_running_stats else self.weight
        dtype = x.dtype if like is None else like.dtype
        return x.new_zeros(2, x.shape[1], dtype=dtype).unbind()

    def _affine(self, num_clips: int) -> List[Optional[Tensor]]:
        return [None if p is None else p.repeat(num_clips)
                for p in (self.weight, self.bias)]

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, groups: Groups) -> None:
        if groups.first:
            self.num_batches_tracked.add_(1)
        rate = self.momentum
        if rate is None:
            rate = 1. / float(self.num_batches_tracked)
        running = [self.running_mean, self.running_var]
        new = [x.view(groups.num_clips, -1).mean(0) for x in (mean, var)]
        # Both at once: a model has many of these small steps.
        if groups.first:
            torch._foreach_mul_(running, 1 - rate)
        torch._foreach_add_(running, new, alpha=rate * groups.share)


class ClipBatchNorm1d(_ClipNorm, nn.BatchNorm1d):
    """BatchNorm1d over clips of different videos only."""


class ClipBatchNorm2d(_ClipNorm, nn.BatchNorm2d):
    """BatchNorm2d over clips of different videos only."""


class ClipBatchNorm3d(_ClipNorm, nn.BatchNorm3d):
    """BatchNorm3d over clips of different videos only."""


class ClipBatchNormXd(_ClipNorm, _BatchNormXd):
    """BatchNorm over clips of different videos only, of any dimension.

    It is what MMEngine makes of SyncBatchNorm where there is one process.
    """


class ClipSyncBatchNorm(_ClipNorm, nn.SyncBatchNorm):
    """SyncBatchNorm over clips of different videos only.

    Group n holds clip n of every video of every process. One exchange serves
    all groups. On the CPU, where PyTorch has no SyncBatchNorm, it is made of
    differentiable sums: slow, for tests.
    """

    @property
    def _synchronized(self) -> bool:
        return self._num_processes() > 1

    def _num_processes(self) -> int:
        if not dist.is_initialized():
            return 1
        return dist.get_world_size(self.process_group or None)

    @staticmethod
    def _by_sums(x: Tensor) -> bool:
        """Whether PyTorch has no SyncBatchNorm for the device."""
        return x.device.type == 'cpu'

    def _normalize(self, x: Tensor,
                   num_clips: int) -> Tuple[Tensor, Tensor, Tensor]:
        if not self._synchronized:
            return super()._normalize(x, num_clips)
        group = self.process_group or dist.group.WORLD
        weight, bias = self._affine(num_clips)
        if self._by_sums(x):
            return _normalize_by_sums(x, weight, bias, self.eps, group)
        mean, var = self._stats_like(x)
        # The host's layer with as many channels as clips have together.
        layer = nn.SyncBatchNorm(x.shape[1], self.eps, momentum=1.,
                                 affine=weight is not None,
                                 process_group=group, device='meta')
        tensors = dict(running_mean=mean, running_var=var,
                       num_batches_tracked=torch.zeros((), dtype=torch.long))
        if weight is not None:
            tensors.update(weight=weight, bias=bias)
        return functional_call(layer, tensors, (x, )), mean, var


def _normalize_by_sums(x: Tensor, weight: Optional[Tensor],
                       bias: Optional[Tensor], eps: float,
                       group: object) -> Tuple[Tensor, Tensor, Tensor]:
    from torch.distributed.nn.functional import all_reduce
    dims = [0, *range(2, x.ndim)]
    shape = [1, -1] + [1] * (x.ndim - 2)
    count = x.new_tensor([x.numel() // x.shape[1]])
    dist.all_reduce(count, group=group)
    mean = all_reduce(x.sum(dims), group=group) / count
    centred = x - mean.view(shape)
    var = all_reduce(centred.square().sum(dims), group=group) / count
    y = centred * (var + eps).rsqrt().view(shape)
    if weight is not None:
        y = y * weight.view(shape) + bias.view(shape)
    return y, mean.detach(), (var * count / (count - 1)).detach()


_GROUPED = {
    nn.BatchNorm1d: ClipBatchNorm1d,
    nn.BatchNorm2d: ClipBatchNorm2d,
    nn.BatchNorm3d: ClipBatchNorm3d,
    nn.SyncBatchNorm: ClipSyncBatchNorm,
    _BatchNormXd: ClipBatchNormXd
}
# MMCV's and MMAction2's own, which are no subclasses.
_OTHERS = ('SyncBatchNorm', 'SubBatchNorm3D')


def group_batch_norms(model: nn.Module, groups: ClipGroups) -> nn.Module:
    """Let the batch normalisation of a model follow :class:`ClipGroups`.

    Modules, parameters, buffers and names stay; what changes is their
    class. Before the first context of ``groups`` they do what they did. May
    be called again, after layers were replaced. Raises a TypeError for batch
    normalisation of another kind.
    """
    for name, module in model.named_modules():
        kind = type(module)
        # The host has subclasses of its own, which compute the same.
        same = [grouped for plain, grouped in _GROUPED.items()
                if issubclass(kind, plain) and kind.forward is plain.forward]
        if same:
            module.__class__ = same[0]
        if isinstance(module, _ClipNorm):
            module.clip_groups = groups
        elif isinstance(module, _BatchNorm) or kind.__name__ in _OTHERS:
            raise TypeError(
                f'{name} is a {kind.__module__}.{kind.__name__}, which cannot '
                "be grouped by clips: use norm_cfg=dict(type='BN3d') or "
                "dict(type='SyncBN'), sync_bn='torch', or freeze_backbone")
    return model
