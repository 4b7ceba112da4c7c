# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

import torch
from mmaction.registry import MODELS
from mmaction.utils import OptSampleList
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmaction_memvit.memory.state import num_lanes, tree_map

from ..layers.clip_memory import ClipMemory, VideoMemory


@MODELS.register_module()
class CollaborativeMemory(BaseModule):
    """Memory that the clips of a video share, on features of any backbone.

    From `Beyond Short Clips: End-to-End Video-Level Learning with
    Collaborative Memories <https://arxiv.org/abs/2104.01198>`_.
    It takes what MMAction2's backbones give, and returns the same form:

    - a feature map (clips, C, T, H, W) or (clips, C, H, W), or a vector per
      clip (clips, C), such as C3D and TimeSformer give;
    - features of several stages, of which the last gets the memory;
    - ``[patch, cls]`` as a stage, the form of MViT: the class token is one
      more place of the clip;
    - SlowFast's pathways, each with a memory of its own, or with none.

    ``write`` and ``read`` are pure, the memory is data: it may be written by
    some clips and read by others, or in parts that are added up.

    Args:
        in_channels (int | Sequence[int | None]): Channels of the last stage;
            or of each pathway, None for one without memory.
        **kwargs: For :class:`ClipMemory`: memory, infusion, reduction,
            normalize, norm_cfg, zero_init.

    Raises:
        ValueError: If an option is unknown, or ``reduction`` does not divide
            ``in_channels``.
    """

    def __init__(self, in_channels: Union[int, Sequence[Optional[int]]],
                 init_cfg: Optional[dict] = None, **kwargs) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.single = isinstance(in_channels, int)
        channels = [in_channels] if self.single else in_channels
        self.paths = nn.ModuleDict({str(i): ClipMemory(c, **kwargs)
                                    for i, c in enumerate(channels)
                                    if c is not None})
        if not self.paths:
            raise ValueError(
                f'in_channels={in_channels} leaves no pathway with a memory: '
                'name the channels of one at least, or have no neck')

    def write(self, x: object, num_clips: int) -> Tuple[VideoMemory, ...]:
        """What clips add to the memories of their videos.

        ``x`` are features of B * N clips, the N = ``num_clips`` of a video in
        a row. Gives the memory of B videos for each pathway with memory; those
        of other clips of the same videos may be added.
        """
        maps = self._maps(x, num_clips)
        return tuple(path.write(maps[i][0], num_clips)
                     for i, path in self.paths.items())

    def read(self, x: object, memory: Sequence[VideoMemory],
             num_clips: int) -> object:
        """Features infused with the memories of their videos, in their form.

        ``num_clips`` N need not be as many as have written.
        """
        maps = self._maps(x, num_clips)
        done = {}
        for (i, path), mem in zip(self.paths.items(), memory):
            y, restore = maps[i]
            done[i] = restore(path.read(y, mem, num_clips))
        if torch.is_tensor(x):
            return done['0']
        last = {str(len(x) - 1): done['0']} if self.single else done
        return type(x)(last.get(str(i), y) for i, y in enumerate(x))

    def forward(self, x: object, data_samples: OptSampleList = None,
                num_clips: Optional[int] = None) -> Tuple[object, dict]:
        """Share a memory among the clips of each video.

        Args:
            x (Tensor | Sequence): Features of B * N clips, the clips of a
                video in a row.
            data_samples (list[ActionDataSample], optional): Of the B videos;
                they tell N where ``num_clips`` does not.
            num_clips (int, optional): N.

        Returns:
            tuple: Features in the form of ``x``, and no auxiliary losses.
        """
        if num_clips is None:
            if not data_samples:
                raise ValueError(
                    'CollaborativeMemory must know which clips are of one '
                    'video: use CollaborativeRecognizer3D or '
                    'CollaborativeRecognizer2D, or give num_clips')
            clips, videos = num_lanes(x), len(data_samples)
            num_clips = clips // videos
            if clips % videos:
                raise ValueError(
                    f'features of {clips} clips are not those of {videos} '
                    'videos with as many clips each')
        memory = self.write(x, num_clips)
        return self.read(x, memory, num_clips), dict()

    def _maps(self, x: object,
              num_clips: int) -> Dict[str, Tuple[Tensor, Callable]]:
        """5-D feature map of each pathway with memory, and the way back."""
        if torch.is_tensor(x):
            parts: List[object] = [x]
        elif isinstance(x, (tuple, list)) and len(x):
            parts = [x[-1]] if self.single else list(x)
        else:
            raise self._unexpected(x)
        if not self.single and len(parts) != len(self.in_channels):
            raise self._unexpected(x)
        maps = {}
        for i, path in self.paths.items():
            found = _as_map(parts[int(i)])
            if found is None:
                raise self._unexpected(x)
            if found[0].shape[1] != path.in_channels:
                raise self._unexpected(x, f'{found[0].shape[1]} channels' + (
                    '' if self.single else f' of pathway {i}'))
            if num_clips < 1 or found[0].shape[0] % num_clips:
                raise ValueError(
                    f'features of {found[0].shape[0]} clips are not those of '
                    f'videos with {num_clips} clips each')
            maps[i] = found
        return maps

    def _unexpected(self, x: object, found: str = '') -> ValueError:
        shapes = tree_map(lambda y: tuple(y.shape), x)
        return ValueError(
            f'CollaborativeMemory(in_channels={self.in_channels}) got '
            f'{shapes} from the backbone. It takes (clips, C, T, H, W), '
            '(clips, C, H, W) or (clips, C), [patch, cls] of these, a tuple '
            'of stages that ends with one, or a tuple of pathways with '
            'in_channels for each: set in_channels to what the backbone '
            f'gives{found and f", {found}"}, or let the backbone give its '
            'last feature map')


def _as_map(x: object) -> Optional[Tuple[Tensor, Callable]]:
    """Features as (clips, C, T, H, W), and what turns such into their form."""
    if torch.is_tensor(x):
        shape = x.shape
        if x.ndim == 2:
            x = x[..., None, None, None]
        elif x.ndim == 4:
            x = x.unsqueeze(2)
        return (x, lambda y: y.reshape(shape)) if x.ndim == 5 else None
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        return None
    patch, cls = x
    if cls is None or not torch.is_tensor(patch) or patch.ndim < 3 \
            or cls.ndim != 2 or cls.shape != patch.shape[:2]:
        return None
    tokens = torch.cat([cls[..., None], patch.flatten(2)], 2)

    def restore(y: Tensor) -> object:
        y = y.reshape(tokens.shape)
        return type(x)((y[..., 1:].reshape(patch.shape), y[..., 0]))

    return tokens[..., None, None], restore
