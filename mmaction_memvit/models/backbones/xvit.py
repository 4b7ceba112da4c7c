# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseModule, ModuleList
from mmengine.model.weight_init import trunc_normal_
from mmengine.utils import to_2tuple
from torch import Tensor, nn

from mmaction_memvit.memory import as_memory
from mmaction_memvit.messages import check_choice
from mmaction_memvit.ops.precision import activation_dtype

from ..checkpoints.fit import (
    fit_image_vit,
    loading_pretrained,
    resize_positions,
)
from ..layers.normalize import normalize
from ..layers.space_time_mixing import (
    FrameMemory,
    MixingBlock,
    TemporalTransformer,
    Window,
)

ARCHS = {'tiny': dict(embed_dims=192, num_layers=12, num_heads=3),
         'small': dict(embed_dims=384, num_layers=12, num_heads=6),
         'base': dict(embed_dims=768, num_layers=12, num_heads=12)}
TEMPORAL_HEADS = ('transformer', 'average', 'frames', None)
_INIT = [
    dict(type='TruncNormal', layer=['Conv2d', 'Linear'], std=0.02, bias=0.),
    dict(type='Constant', layer='LayerNorm', val=1., bias=0.)]


@as_memory
class MixingMemory(NamedTuple):
    """What an :class:`XViT` keeps of each stream.

    Args:
        layers (tuple[FrameMemory]): Of each block.
        frames (Tensor): (B, ), int64: frames that have come in.
    """
    layers: Tuple[FrameMemory, ...]
    frames: Tensor


@MODELS.register_module()
class XViT(BaseModule):
    """Image transformer by frame, whose keys and values are mixed in time.

    From `Space-time Mixing Attention for Video Transformer
    <https://arxiv.org/abs/2106.05968>`_ (X-ViT). In every block the first
    1/``shift_div`` of the channels of keys and values come from the next
    frame, as many from the frame before: full space-time attention within
    three frames, twelve blocks deep, at the cost of the image transformer.

    With ``stream=True`` it remembers (see :mod:`mmaction_memvit.memory`): in
    each block the last frames of the clip before take the place of the zeros
    at a clip's start, and a frame's features do not depend on where the video
    is cut into clips. What happens at a clip's end is told by ``look_ahead``:

    - True: a frame waits in every block for the frame after it. Features
      come out late, those of frame t with frame t + ``delay``, ``delay``
      being ``window`` frames a block (12 of the base model), and are those
      that a clip without end would give. The first ``delay`` frames that
      come out are zeros, and no part of a clip's class token; the last ones
      of a video come out if as many frames follow. Labels of instants have to
      be as late.
    - False: no frame sees a later one, nothing is late, and the memory is one
      frame of some keys and values a block.

    Args:
        arch (str | dict): 'tiny', 'small', 'base' (ViT-B), or a dict with
            ``embed_dims``, ``num_layers`` and ``num_heads``. Defaults to
            'base'.
        patch_size (int): Pixels. Defaults to 16.
        spatial_size (int | tuple[int]): Height and width in pixels that the
            positions are made for; they are resized to frames of other sizes.
            Defaults to 224.
        temporal_positions (int): Rows of the table of temporal positions;
            frame t gets row t modulo this; 0: frames know no time. Defaults
            to 8, as in the released weights, where a clip of 16 frames gets
            each row twice.
        window (int): Frames on either side to take channels from, 0 for an
            image transformer. Defaults to 1.
        shift_div (int): Each gives 1/``shift_div`` of the channels. Defaults
            to 8, as for Kinetics; 4 for Something-Something.
        look_ahead (bool): Whether frames see later ones. Defaults to True.
        group_length (int, optional): Frames of a clip among which there is
            mixing. Defaults to None: all; the released weights of Kinetics
            have 8.
        temporal_head (str, optional): What comes out. 'transformer' and
            'average': ``([patch, cls], )``, as of MViT, cls (B, C) being made
            of the frames' class tokens by a transformer or their mean.
            'frames': the class tokens as a feature map, (B, C, T, 1, 1).
            None: the feature map (B, C, T, H, W), for detectors. Defaults to
            'transformer', the paper's.
        stream (bool): Whether it remembers. Defaults to False.
        drop_path_rate (float): Stochastic depth. Defaults to 0.
        with_cp (bool): Whether to recompute blocks in the backward pass to
            save memory. Defaults to False.
        init_cfg (dict | list[dict], optional): ``dict(type='Pretrained',
            checkpoint=...)`` takes image transformers in the layouts of timm
            and MMPretrain, and converted X-ViT weights. Defaults to truncated
            normal initialisation.

    Raises:
        ValueError: If an option is out of range, and in forward if the input
            or the memory does not fit.

    Examples:
        >>> import torch
        >>> from mmaction_memvit.models import XViT
        >>> model = XViT('tiny', stream=True, look_ahead=False).eval()
        >>> memory = model.init_memory(batch_size=1)
        >>> for clip in torch.rand(3, 1, 3, 4, 224, 224):
        ...     feats, memory = model(clip, memory)
        >>> patch, cls = feats[-1]
        >>> patch.shape, cls.shape
        (torch.Size([1, 192, 4, 14, 14]), torch.Size([1, 192]))
    """

    def __init__(
            self, arch: Union[str, Dict] = 'base', patch_size: int = 16,
            spatial_size: Union[int, Tuple[int, int]] = 224,
            temporal_positions: int = 8, window: int = 1, shift_div: int = 8,
            look_ahead: bool = True, group_length: Optional[int] = None,
            temporal_head: Optional[str] = 'transformer', stream: bool = False,
            drop_path_rate: float = 0., with_cp: bool = False,
            init_cfg: Optional[Union[Dict, List[Dict]]] = _INIT) -> None:
        super().__init__(
            init_cfg=init_cfg.copy() if init_cfg is not None else None)
        if isinstance(arch, str):
            check_choice('arch', arch, sorted(ARCHS))
            arch = ARCHS[arch]
        dims, depth = arch['embed_dims'], arch['num_layers']
        check_choice('temporal_head', temporal_head, TEMPORAL_HEADS)
        if 2 * window > shift_div:
            raise ValueError(
                f'window={window} takes 2 x {window}/{shift_div} of the '
                f'channels: shift_div must be at least {2 * window}')
        if stream and group_length:
            raise ValueError(
                f'group_length={group_length} cuts a clip into pieces, '
                'stream=True joins clips: choose one of them')
        self.embed_dims, self.num_layers = dims, depth
        self.patch_size = patch_size
        self.spatial_size = to_2tuple(spatial_size)
        self.temporal_head, self.stream = temporal_head, stream
        self.window = Window(window, dims // shift_div, look_ahead,
                             group_length)

        self.patch_embed = nn.ModuleDict(
            dict(projection=nn.Conv2d(3, dims, patch_size, patch_size)))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dims))
        rows, columns = self.grid_size(*self.spatial_size)
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + rows * columns, dims))
        self.temp_embed = nn.Parameter(
            torch.zeros(1, temporal_positions, 1,
                        dims)) if temporal_positions else None
        self.blocks = ModuleList([
            MixingBlock(dims, arch['num_heads'], self.window,
                        drop_path=drop_path_rate * i / max(depth - 1, 1),
                        with_cp=with_cp) for i in range(depth)])
        self.norm = nn.LayerNorm(dims, eps=1e-6)
        if temporal_head == 'transformer':
            self.temporal = TemporalTransformer(dims, arch['num_heads'])
        self._register_load_state_dict_pre_hook(self._fit_checkpoint)

    # ---------------------------------------------------------------- shapes
    def grid_size(self, height: int, width: int) -> Tuple[int, int]:
        """Rows and columns of patches of a frame."""
        return height // self.patch_size, width // self.patch_size

    @property
    def delay(self) -> int:
        """int: frames by which features of a stream come late."""
        return self.num_layers * self.window.ahead if self.stream else 0

    def init_memory(
            self, batch_size: int,
            input_size: Optional[Tuple[int, int]] = None,
            dtype: Optional[torch.dtype] = None,
            device: Optional[torch.device] = None) -> Optional[MixingMemory]:
        """The memory at the start of streams.

        Args:
            batch_size (int): Streams B.
            input_size (tuple[int], optional): Height and width of the
                frames. Defaults to ``spatial_size``.
            dtype (torch.dtype, optional): Defaults to that of the
                parameters, or of autocast where that is on.
            device (torch.device, optional): Defaults to the parameters'.

        Returns:
            MixingMemory | None: None without ``stream``.
        """
        if not self.stream:
            return None
        device = device or self.cls_token.device
        dtype = dtype or activation_dtype(self.cls_token)
        rows, columns = self.grid_size(*(input_size or self.spatial_size))
        return MixingMemory(
            tuple(
                block.empty_memory(batch_size, 1 + rows * columns, dtype,
                                   device) for block in self.blocks),
            torch.zeros(batch_size, dtype=torch.int64, device=device))

    def _check(self, x: Tensor, memory: Optional[MixingMemory]) -> None:
        """Check that clip, options and memory belong together."""
        frames, height, width = x.shape[2:]
        if min(height, width) < self.patch_size:
            raise ValueError(
                f'frames of {height}x{width} pixels are smaller than a patch, '
                f'patch_size={self.patch_size}: resize them')
        length = self.window.group_length
        if memory is None:
            if length and frames % length:
                raise ValueError(
                    f'a clip of {frames} frames is no whole number of groups '
                    f'of group_length={length}: change clip_len')
            return
        if not self.stream:
            raise ValueError('a memory was given to an XViT without memory: '
                             'set stream=True')
        rows, columns = self.grid_size(height, width)
        lanes, _, tokens = memory.layers[0].tokens.shape[:3]
        if (lanes, tokens) != (x.shape[0], 1 + rows * columns):
            raise ValueError(
                f'the memory is of {lanes} lanes with {tokens} tokens a '
                f'frame, but the input has {len(x)} with {1 + rows * columns}'
                f' ({height}x{width}): pick lanes with memory.select(), start '
                'frames of another size with init_memory(batch_size, '
                'input_size)')

    # --------------------------------------------------------------- forward
    def _embed(self, x: Tensor, start: Optional[Tensor]) -> Tensor:
        """Tokens (B, T, N, C) of a clip (B, 3, T, H, W)."""
        grid = self.patch_embed['projection'](x.transpose(1, 2).flatten(0, 1))
        size, table = grid.shape[2:], self.pos_embed
        if size != self.grid_size(*self.spatial_size):
            table = resize_positions(
                table, self.grid_size(*self.spatial_size), size)
        grid = grid.flatten(2).transpose(1, 2)
        cls = self.cls_token.expand(grid.shape[0], -1, -1).to(grid.dtype)
        tokens = torch.cat((cls, grid), 1) + table.to(grid.dtype)
        tokens = tokens.unflatten(0, (-1, x.shape[2]))
        if self.temp_embed is None:
            return tokens
        index = torch.arange(x.shape[2], device=x.device)
        if start is not None:
            index = start[:, None] + index
        # (B or 1, T, 1, C)
        times = self.temp_embed[0, index % self.temp_embed.shape[1]]
        return tokens + times.to(grid.dtype)

    def _exists(self, memory: Optional[MixingMemory], late: int,
                num: int) -> Optional[Tensor]:
        """Which of ``num`` frames, the first ``late`` ago, are of a stream.

        Returns:
            Tensor | None: Bool, (B, num), None if all are.
        """
        if memory is None or not self.window.ahead:
            return None
        index = torch.arange(num, device=memory.frames.device)
        return memory.frames[:, None] - late + index >= 0

    def forward(self, x: Tensor, memory: Optional[MixingMemory] = None,
                elapsed: Optional[Tensor] = None) -> Union[Tensor, Tuple]:
        """One clip of each stream.

        Args:
            x (Tensor): (B, 3, T, H, W), normalised; T may change from clip to
                clip.
            memory (MixingMemory, optional): What is remembered of the clips
                before. Defaults to None: clips by themselves, nothing is
                returned and nothing is late.
            elapsed (Tensor, optional): Not used: X-ViT counts frames.

        Returns:
            Tensor | tuple: Features as ``temporal_head`` says; with
            ``memory``, a tuple of those, ``delay`` frames late, and the next
            memory.
        """
        self._check(x, memory)
        size, ahead = self.grid_size(*x.shape[3:]), self.window.ahead
        tokens = self._embed(x, None if memory is None else memory.frames)
        layers = []
        for i, block in enumerate(self.blocks):
            exists = self._exists(memory, (i + 1) * ahead, x.shape[2] + ahead)
            tokens, layer = block(
                tokens, None if memory is None else memory.layers[i], exists)
            layers.append(layer)
        tokens = normalize(self.norm, tokens)
        out = self._output(tokens, size,
                           self._exists(memory, self.delay, x.shape[2]))
        if memory is None:
            return out
        return out, MixingMemory(tuple(layers), memory.frames + x.shape[2])

    def _output(self, tokens: Tensor, size: Tuple[int, int],
                exists: Optional[Tensor]) -> Union[Tensor, Tuple]:
        """Features, of tokens after the norm."""
        if exists is not None:
            tokens = torch.where(exists[:, :, None, None], tokens,
                                 tokens.new_zeros(()))
        frames = tokens[:, :, 0]
        if self.temporal_head == 'frames':
            return frames.transpose(1, 2)[..., None, None]
        # (B, T, 1 + H*W, C) -> (B, C, T, H, W)
        patch = tokens[:, :, 1:].permute(0, 3, 1, 2).unflatten(-1, size)
        if self.temporal_head is None:
            return patch
        if self.temporal_head == 'transformer':
            return ([patch, self.temporal(frames, exists)], )
        num = frames.shape[1]
        if exists is not None:
            num = exists.sum(1, keepdim=True).clamp(min=1)
        return ([patch, frames.sum(1) / num], )

    # --------------------------------------------------------------- weights
    def init_weights(self) -> None:
        """Initialise, or load ``init_cfg``'s checkpoint as far as it fits."""
        with loading_pretrained(self, _INIT):
            super().init_weights()
            trunc_normal_(self.cls_token, std=0.02)
            trunc_normal_(self.pos_embed, std=0.02)

    def _fit_checkpoint(self, state_dict: Dict, prefix: str, *args) -> None:
        """Make a checkpoint one of this backbone before it is loaded."""
        fit_image_vit(state_dict, prefix, self.grid_size(*self.spatial_size))
