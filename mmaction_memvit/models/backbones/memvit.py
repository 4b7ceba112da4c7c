# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy
from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
import torch.nn as nn
from mmaction.registry import MODELS
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule, ModuleList
from mmengine.model.weight_init import trunc_normal_
from mmengine.utils import to_2tuple
from torch import Tensor

from mmaction_memvit.messages import check_no_more, retire
from mmaction_memvit.ops.precision import activation_dtype

from ..checkpoints.fit import MEMORY_WEIGHTS, fit_memvit, loading_pretrained
from ..layers.memvit_block import MeMViTBlock
from ..layers.normalize import add_normalize
from ..layers.patch_embedding import embed_patches
from ..layers.pooling_attention import Size, pooled_size
from ..layers.stochastic_depth import stochastic_depth
from ..layers.stream_memory import StreamMemory
from .memvit_options import (
    check_causal,
    check_clip,
    memory_layers,
    memory_spec,
    read_arch,
    read_scales,
)

_INIT = [
    dict(type='TruncNormal', layer='Conv3d', std=0.02),
    dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.),
    dict(type='Constant', layer='LayerNorm', val=1., bias=0.),
]


@MODELS.register_module()
class MeMViT(BaseModule):
    """Memory-augmented multiscale vision transformer.

    From `MeMViT: Memory-Augmented Multiscale Vision Transformer for Efficient
    Long-Term Video Recognition <https://arxiv.org/abs/2201.08383>`_. Written
    from the paper; outputs agree with the released model. Without memory
    (``mem_len=0``) it is an MViTv2 that pools before projecting.

    The module is pure: ``backbone(x)`` gives features as any MMAction2
    backbone does; ``backbone(x, memory)`` gives features and the next memory,
    with ``memory = backbone.init_memory(batch_size)`` at the start. The
    returned memory carries its graph: :class:`MemoryBank` detaches it.

    Args:
        arch (str | dict): 'tiny', 'small' (MeMViT-16), 'base' (MeMViT-24), or
            a dict with ``embed_dims``, ``num_layers``, ``num_heads`` and
            ``downscale_indices``. Defaults to 'small'.
        spatial_size (int | tuple[int]): Height and width of the input, in
            pixels, the position tables are made for; at least the total
            stride (32). Other sizes can be fed, multiples of the stride or
            not: tables are resized. Defaults to 224.
        temporal_size (int): Frames of a clip. Defaults to 16.
        mem_len (int): Attended clips M; 0 for no memory. Defaults to 2.
        mem_stride (int): Gap between attended clips: those of age gap,
            2 gap, ..., M gap are attended. Defaults to 1.
        mem_layers (str | Sequence[int]): Blocks with memory: 'even', 'all'
            or indices. Defaults to 'even'.
        mem_compress (dict, optional): ``kernel_size`` and ``stride`` (T, H,
            W) of the compression; None keeps entries as they are. Defaults
            to ``dict(kernel_size=(7, 3, 3), stride=(4, 2, 2))``.
        mem_mask (str): What a query sees of an earlier video's entries:
            'exclude' (nothing) or 'zero' (zeros that take part in the
            softmax, as the reference does in batches). Defaults to 'exclude'.
        mem_compress_at (str): 'first_use' compresses an entry when it is
            first attended, so that the compression is trained for any gap;
            'next' one step after it was seen, as the reference does, which
            leaves it untrained for gaps above 1. Defaults to 'first_use'.
        causal (bool): Whether tokens see frames up to their own only: with
            the default ``patch_cfg`` token i sees frames 0 to 2 i + 1 of its
            clip, and what is remembered of clips before. Defaults to False.
        in_channels (int): Defaults to 3.
        out_scales (int | Sequence[int]): Stages to output. Defaults to -1.
        drop_path_rate (float): Stochastic depth. Defaults to 0.
        pool_kernel (tuple[int]): Defaults to (3, 3, 3).
        dim_mul (int): Width factor at downscales. Defaults to 2.
        head_mul (int): Factor of heads at downscales. Defaults to 2.
        adaptive_kv_stride (tuple[int]): Stride of k and v in the first
            block, divided at downscales. Defaults to (1, 8, 8).
        residual_pooling (bool): Defaults to True.
        output_cls_token (bool): Whether features are ``[patch, cls]`` rather
            than patch alone. Defaults to True.
        rel_pos_zero_init (bool): Defaults to False.
        mlp_ratio (float): Defaults to 4.
        qkv_bias (bool): Defaults to True.
        norm_cfg (dict): Defaults to ``dict(type='LN', eps=1e-6)``.
        patch_cfg (dict): ``kernel_size``, ``stride`` and ``padding`` of the
            patch embedding. Defaults to (3, 7, 7), (2, 4, 4), (1, 3, 3).
        with_cp (bool): Whether to recompute blocks in the backward pass to
            save memory. Defaults to False.
        init_cfg (dict | list[dict], optional): ``dict(type='Pretrained',
            checkpoint=...)`` takes a converted MeMViT checkpoint or MViT
            weights of MMAction2 as far as they fit. Defaults to truncated
            normal initialisation.

    Raises:
        ValueError: If an argument is out of range, and in forward if the
            input or the memory does not fit.

    Examples:
        >>> import torch
        >>> from mmaction_memvit.models import MeMViT
        >>> model = MeMViT('small', mem_len=2).eval()
        >>> memory = model.init_memory(batch_size=1)
        >>> for clip in torch.rand(3, 1, 3, 16, 224, 224):
        ...     feats, memory = model(clip, memory)
        >>> patch, cls = feats[-1]
        >>> patch.shape, cls.shape
        (torch.Size([1, 768, 8, 7, 7]), torch.Size([1, 768]))
    """

    # New where a checkpoint of single clips starts a model with memory.
    memory_weights = MEMORY_WEIGHTS

    def __init__(
        self, arch: Union[str, Dict] = 'small',
        spatial_size: Union[int, Tuple[int, int]] = 224,
        temporal_size: int = 16, mem_len: int = 2, mem_stride: int = 1,
        mem_layers: Union[str, Sequence[int]] = 'even',
        mem_compress: Optional[Dict] = dict(  # noqa: B006
            kernel_size=(7, 3, 3), stride=(4, 2, 2)),
        mem_mask: str = 'exclude', mem_compress_at: str = 'first_use',
        causal: bool = False, in_channels: int = 3,
        out_scales: Union[int, Sequence[int]] = -1, drop_path_rate: float = 0.,
        pool_kernel: Size = (3, 3, 3), dim_mul: int = 2, head_mul: int = 2,
        adaptive_kv_stride: Size = (1, 8, 8), residual_pooling: bool = True,
        output_cls_token: bool = True, rel_pos_zero_init: bool = False,
        mlp_ratio: float = 4., qkv_bias: bool = True,
        norm_cfg: Dict = dict(type='LN', eps=1e-6),  # noqa: B006
        patch_cfg: Dict = dict(  # noqa: B006
            kernel_size=(3, 7, 7), stride=(2, 4, 4), padding=(1, 3, 3)),
        with_cp: bool = False,
        init_cfg: Optional[Union[Dict, List[Dict]]] = _INIT, **removed
    ) -> None:
        super().__init__(init_cfg=copy.deepcopy(init_cfg))
        retire(removed, dim_mul_in_attention=True)
        check_no_more(removed, __class__)
        self.arch_settings = read_arch(arch)
        depth = self.arch_settings['num_layers']
        downscale = list(self.arch_settings['downscale_indices'])
        stride = patch_cfg['stride']
        self.total_stride = (stride[0], *(s * 2**len(downscale)
                                          for s in stride[1:]))
        self.temporal_size = temporal_size
        self.spatial_size = to_2tuple(spatial_size)
        check_clip(temporal_size, *self.spatial_size, self.total_stride)
        if causal:
            check_causal(patch_cfg)
        self.memory = memory_spec(mem_len, mem_stride, mem_compress, mem_mask,
                                  mem_compress_at)
        self.mem_len, self.mem_stride = mem_len, mem_stride
        layers = memory_layers(mem_layers, depth)
        self.mem_layers = layers if mem_len else ()
        self.output_cls_token = output_cls_token

        dims = self.arch_settings['embed_dims']
        self.embed_dims, self.num_layers = dims, depth
        self.patch_embed = nn.ModuleDict(
            dict(projection=nn.Conv3d(in_channels, dims, **patch_cfg)))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dims))

        ends = [*(index - 1 for index in downscale), depth - 1]
        self.out_scales = read_scales(out_scales, len(ends))
        # Blocks after which a scale is put out, and which.
        self.scale_after = {ends[i]: i for i in self.out_scales}
        self.blocks = ModuleList()
        self._add_blocks(downscale,
                         np.linspace(0, drop_path_rate, depth).tolist(),
                         (dim_mul, head_mul), tuple(adaptive_kv_stride),
                         mlp_ratio=mlp_ratio, norm_cfg=norm_cfg,
                         with_cp=with_cp, pool_kernel=pool_kernel,
                         qkv_bias=qkv_bias, residual_pooling=residual_pooling,
                         rel_pos_zero_init=rel_pos_zero_init, causal=causal)
        self._register_load_state_dict_pre_hook(self._fit_checkpoint)

    def _add_blocks(self, downscale: List[int], drop_path: List[float],
                    factors: Tuple[int, int], stride_kv: Size,
                    **kwargs) -> None:
        """Add the blocks, and the norms of the scales that are put out."""
        dims, heads = self.embed_dims, self.arch_settings['num_heads']
        size = self.grid_size(self.temporal_size, *self.spatial_size)
        for i, rate in enumerate(drop_path):
            in_dims, stride_q = dims, (1, 1, 1)
            if i in downscale:
                dims, heads = dims * factors[0], heads * factors[1]
                stride_q = (1, 2, 2)
                stride_kv = tuple(max(s // 2, 1) for s in stride_kv)
            memory = self.memory if i in self.mem_layers else None
            self.blocks.append(
                MeMViTBlock(in_dims, dims, heads, size, stride_q,
                            drop_path=rate, stride_kv=stride_kv,
                            memory=memory, **kwargs))
            size = pooled_size(size, stride_q)
            if i in self.scale_after:
                self.add_module(f'norm{self.scale_after[i]}',
                                build_norm_layer(kwargs['norm_cfg'], dims)[1])
        self.feat_dims = dims

    def grid_size(self, frames: int, height: int, width: int) -> Size:
        """Token grid (T, H, W) of a clip after the patch embedding."""
        return pooled_size((frames, height, width),
                           self.patch_embed['projection'].stride)

    @property
    def temporal_support(self) -> int:
        """int: clips of the past that can matter, M x gap x L."""
        return self.mem_len * self.mem_stride * len(self.mem_layers)

    def init_memory(
            self, batch_size: int,
            input_size: Optional[Tuple[int, int]] = None,
            dtype: Optional[torch.dtype] = None,
            device: Optional[torch.device] = None) -> Optional[StreamMemory]:
        """The memory at the start of B streams: empty, of its final shapes.

        ``input_size`` is (height, width), by default ``spatial_size``; device
        and dtype are those of the parameters (or of autocast). None with
        ``mem_len`` 0.
        """
        if not self.mem_layers:
            return None
        param = self.cls_token
        device = device or param.device
        dtype = dtype or activation_dtype(param)
        frame_size = tuple(input_size or self.spatial_size)
        size = self.grid_size(self.temporal_size, *frame_size)
        layers = []
        for i, block in enumerate(self.blocks):
            if i in self.mem_layers:
                layers.append(
                    block.attn.empty_memory(batch_size, size, dtype, device))
            size = pooled_size(size, block.stride_q)
        nothing = torch.zeros((batch_size, self.mem_len * self.mem_stride),
                              dtype=torch.bool, device=device)
        return StreamMemory(tuple(layers), nothing, frame_size,
                            nothing.clone() if self.memory.zero_mask else None)

    def _check_memory(self, x: Tensor, memory: StreamMemory) -> StreamMemory:
        """Check that memory and input belong together."""
        lanes = memory.valid.shape[0]
        if lanes != x.shape[0]:
            raise ValueError(
                f'the memory has {lanes} lanes, but the input '
                f'{x.shape[0]}: pick the lanes with memory.select()')
        frame_size = tuple(x.shape[3:])
        if memory.frame_size == frame_size:
            return memory
        if memory.valid.any():
            was, now = ('x'.join(map(str, size))
                        for size in (memory.frame_size, frame_size))
            raise ValueError(
                f'the memory is of frames of {was}, but frames of {now} came '
                'in: the frame size changed within a stream; start anew with '
                'init_memory(batch_size, input_size)')
        return self.init_memory(x.shape[0], x.shape[3:])

    def _output(self, tokens: Tensor,
                size: Size) -> Union[Tensor, List[Tensor]]:
        """Features of one scale.

        Class and grid tokens pass the norm together, so that a head that
        reads one of them leaves no parameter without a gradient
        (DistributedDataParallel waits for each).
        """
        tokens = tokens.transpose(1, 2)
        # (B, C, T*H*W) -> (B, C, T, H, W)
        patch = tokens[..., 1:].unflatten(2, size)
        return [patch, tokens[..., 0]] if self.output_cls_token else patch

    def forward(self, x: Tensor, memory: Optional[StreamMemory] = None,
                elapsed: Optional[Tensor] = None
                ) -> Union[Tuple, Tuple[Tuple, StreamMemory]]:
        """One clip of each stream, ``x`` (B, 3, T, H, W), normalised.

        ``memory`` is what is remembered of the clips before; ``elapsed`` does
        not matter, MeMViT counts clips.

        Returns:
            tuple: Features, one element a scale of ``out_scales``, after the
            norm: ``[patch (B, C, T', H', W'), cls (B, C)]``; where a memory
            came in, these and the next memory.
        """
        check_clip(*x.shape[2:], self.total_stride)
        if x.shape[2] != self.temporal_size:
            raise ValueError(
                f'the clip has {x.shape[2]} frames, but temporal_size is '
                f'{self.temporal_size}: make clip_len and temporal_size '
                'equal')
        keep_memory = memory is not None
        if keep_memory:
            if not self.mem_layers:
                raise ValueError('a memory was given to a MeMViT without '
                                 'memory: set mem_len above 0')
            memory = self._check_memory(x, memory)
        elif self.mem_layers and (self.training or torch.jit.is_tracing()):
            # An empty memory changes no output, and gives every parameter a
            # (zero) gradient, as DistributedDataParallel asks for. It costs
            # what a full one does, as get_flops counts, which traces.
            memory = self.init_memory(x.shape[0], x.shape[3:])

        grid = embed_patches(x, self.patch_embed['projection'])
        cls = self.cls_token.expand(x.shape[0], -1, -1).to(grid.dtype)
        tokens = torch.cat((cls, grid), dim=1)
        size = self.grid_size(*x.shape[2:])
        outs, layers, shared = [], [], {}
        hidden = None
        if memory is not None:
            # Attended entries that nobody sees, (B, M), oldest first.
            hidden = ~self.memory.attended(
                memory.filled if self.memory.zero_mask else memory.valid)
        branch, keep = None, stochastic_depth(self.blocks, tokens)
        # A block adds the branch of the one before: that goes with its norm.
        before = None
        for i, block in enumerate(self.blocks):
            args = None, None, None
            if memory is not None and i in self.mem_layers:
                args = memory.layers[len(layers)], memory.valid, hidden
            tokens, branch, layer = block(
                tokens, branch, (before, keep[2 * i]), size, *args, shared)
            before = keep[2 * i + 1]
            size = pooled_size(size, block.stride_q)
            if layer is not None:
                layers.append(layer)
            if i in self.scale_after:
                norm = getattr(self, f'norm{self.scale_after[i]}')
                tokens, normed = add_normalize(norm, tokens, branch, before)
                branch = None
                outs.append(self._output(normed, size))
        if not keep_memory:
            return tuple(outs)
        return tuple(outs), memory.push(layers, tuple(x.shape[3:]))

    def init_weights(self) -> None:
        """Initialise, or load ``init_cfg``'s checkpoint as far as it fits."""
        with loading_pretrained(self, _INIT):
            super().init_weights()
            trunc_normal_(self.cls_token, std=0.02)

    def _fit_checkpoint(self, state_dict: Dict, prefix: str, *args) -> None:
        """Make a checkpoint one of this backbone before it is loaded."""
        fit_memvit(state_dict, prefix, self.state_dict(), self.arch_settings)
