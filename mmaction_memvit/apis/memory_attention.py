# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Which remembered clips a model attends to, while it predicts."""
from contextlib import contextmanager
from typing import Dict, Iterator, List, NamedTuple, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmaction_memvit.models.layers.pooling_attention import PoolingAttention


class MemoryAttention(NamedTuple):
    """What a clip attended to: itself, and the clips that are remembered.

    Means over heads and queries.

    Args:
        ages (tuple[int]): Ages in clips, A = 1 + M of them: 0, the clip
            itself, gap, ..., M gap.
        mass (np.ndarray): (layers, A), one row for each layer with memory,
            which adds up to 1.
        heat (np.ndarray): (A, H', W'), where on the pictures: mean over the
            layers, summed over a clip's frames, class tokens left out.
        picture (np.ndarray): Of the middle of the clip as the model sees
            it, uint8 (H, W, 3); the heat maps lie on it.
    """
    ages: Tuple[int, ...]
    mass: np.ndarray
    heat: np.ndarray
    picture: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """np.ndarray: ``mass`` as a mean over layers, (A, )."""
        return self.mass.mean(0)


class AttentionRecorder:
    """Attention of a model's layers with memory, for as long as it is asked.

    Fused attention stores no weights: within :meth:`record` they are computed
    once more, layer by layer. Outside, the model is as it was.

    Args:
        model (nn.Module): With a :class:`MeMViT` that remembers.

    Raises:
        ValueError: If none of its layers attends to a memory.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.layers = [x for x in model.modules()
                       if isinstance(x, PoolingAttention)
                       and x.memory is not None]
        if not self.layers:
            raise ValueError(
                f'no layer of this {type(model).__name__} attends to a memory,'
                ' so there is no such attention to record: use a MeMViT with '
                'mem_len above 0, or do without')
        spec = self.layers[0].memory
        self.ages = tuple(range(0, spec.length * spec.stride + 1, spec.stride))

    @contextmanager
    def record(self) -> Iterator[List[Dict[str, List[Tensor]]]]:
        """Record what is run within, all lanes in order.

        Yields:
            list[dict]: For each layer ``mass``, of (B, A), and ``heat``, of
            (B, A, H', W'), lists with a tensor for each forward.
        """
        found = [dict(mass=[], heat=[]) for _ in self.layers]
        # A graph that is replayed calls no layer.
        cuda_graph = getattr(self.model, 'cuda_graph', None)
        if cuda_graph:
            self.model.cuda_graph = False
        for layer, own in zip(self.layers, found):
            layer._fused = _Attend(layer, own)
        try:
            yield found
        finally:
            for layer in self.layers:
                del layer._fused
            if cuda_graph:
                self.model.cuda_graph = cuda_graph

    def predict(self, data: dict) -> Tuple[list, List[MemoryAttention]]:
        """``test_step`` of a batch of clips of one size, one of each stream.

        Args:
            data (dict): As data loaders give it.

        Returns:
            tuple: The samples, and what each attended to: the mean over its
            views, on the picture of the first.
        """
        inputs = data['inputs']
        with self.record() as found:
            samples = self.model.test_step(data)
        views = 1 if inputs[0].dim() == 4 else len(inputs[0])
        mass = torch.stack([torch.cat(x['mass']) for x in found], 1)
        heat = [torch.cat(x['heat']) for x in found]
        size = max(x.shape[2:] for x in heat)
        heat = torch.stack([_spread(x, size) for x in heat]).mean(0)
        mass, heat = (x.unflatten(0, (-1, views)).mean(1).cpu().numpy()
                      for x in (mass, heat))
        return samples, [MemoryAttention(self.ages, *of_lane, _middle(clip))
                         for *of_lane, clip in zip(mass, heat, inputs)]


class _Attend:
    """Attention of a layer, which is told to lists."""

    def __init__(self, layer: PoolingAttention,
                 found: Dict[str, List[Tensor]]) -> None:
        self.layer, self.found = layer, found
        self.fused = layer._fused

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, layout, hidden,
                 shared: Dict) -> Tensor:
        for lane in range(len(q)):
            pick = slice(lane, lane + 1)
            # Lane by lane: all pairs of all lanes may not fit.
            weights = self.layer.weights(
                q[pick].detach(), k[pick].detach(), layout,
                None if hidden is None else hidden[pick])
            self._add(weights.float().mean((1, 2)), layout)
        return self.fused(q, k, v, layout, hidden, shared)

    def _add(self, weights: Tensor, layout) -> None:
        """Take what the keys of a lane got, (1, K)."""
        own = 1 + np.prod(layout.k_size)
        past = weights[:, :-own].unflatten(1, (layout.num_entries, -1)).flip(1)
        own = weights[:, -own:]
        self.found['mass'].append(
            torch.cat((own.sum(1, keepdim=True), past.sum(2)), 1))
        heat = [
            x[..., 1:].unflatten(-1, size).sum(-3)
            for x, size in ((own[:, None], layout.k_size),
                            (past, layout.entry_size))]
        size = max(x.shape[2:] for x in heat)
        self.found['heat'].append(
            torch.cat([_spread(x, size) for x in heat], 1))


def _spread(heat: Tensor, size: Tuple[int, int]) -> Tensor:
    """Heat maps (..., H, W) on a finer grid, with the same sums."""
    share = heat.shape[-2] * heat.shape[-1] / (size[0] * size[1])
    return F.interpolate(heat, size) * share


def _middle(clip: Tensor) -> np.ndarray:
    """Picture in the middle of a clip ([views,] 3, T, H, W)."""
    clip = clip if clip.dim() == 4 else clip[0]
    image = clip[:, clip.shape[1] // 2].permute(1, 2, 0)
    return image.clamp(0, 255).byte().cpu().numpy()
