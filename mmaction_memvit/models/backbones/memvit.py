# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy
import math
from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.utils.checkpoint as cp
from mmaction.registry import MODELS
from mmcv.cnn import build_norm_layer
from mmengine.logging import MMLogger
from mmengine.model import BaseModule, ModuleList
from mmengine.model.weight_init import trunc_normal_
from mmengine.runner import CheckpointLoader
from mmengine.utils import to_2tuple
from torch import Tensor

from mmaction_memvit.ops import add_layer_norm, layer_norm

from ..checkpoints.fit import adapt_mvit_state, fit_position_tables
from ..layers.mlp import MLP
from ..layers.patch_embedding import embed_patches
from ..layers.pooling_attention import (
    MemorySpec,
    PoolingAttention,
    pooled_size,
)
from ..layers.stream_memory import LayerMemory, StreamMemory
from ..utils.precision import activation_dtype

Size = Tuple[int, int, int]


class MeMViTBlock(BaseModule):
    """Multiscale transformer block with memory (MeMViT, section 3).

    Args:
        in_dims (int): Input channels.
        out_dims (int): Output channels; a change happens inside attention.
        num_heads (int): Heads.
        in_size (tuple[int]): Input grid (T, H, W) the tables are made for.
        stride_q (tuple[int]): Pooling stride of queries, 1 in time.
        mlp_ratio (float): Hidden width of the MLP. Defaults to 4.
        drop_path (float): Stochastic depth rate. Defaults to 0.
        norm_cfg (dict): Defaults to ``dict(type='LN', eps=1e-6)``.
        with_cp (bool): Whether to recompute the block in the backward pass
            to save memory. Defaults to False.
        init_cfg (dict, optional): Defaults to None.
        **kwargs: For :class:`PoolingAttention`.
    """

    def __init__(self,
                 in_dims: int,
                 out_dims: int,
                 num_heads: int,
                 in_size: Size,
                 stride_q: Size,
                 mlp_ratio: float = 4.,
                 drop_path: float = 0.,
                 norm_cfg: Optional[dict] = None,
                 with_cp: bool = False,
                 init_cfg: Optional[dict] = None,
                 **kwargs) -> None:
        super().__init__(init_cfg=init_cfg)
        norm_cfg = norm_cfg or dict(type='LN', eps=1e-6)
        self.norm1 = build_norm_layer(norm_cfg, in_dims)[1]
        self.attn = PoolingAttention(
            in_dims,
            out_dims,
            num_heads,
            in_size,
            stride_q,
            norm_eps=norm_cfg.get('eps', 1e-5),
            **kwargs)
        self.norm2 = build_norm_layer(norm_cfg, out_dims)[1]
        self.mlp = MLP(out_dims, int(out_dims * mlp_ratio))
        self.proj = (
            nn.Linear(in_dims, out_dims) if in_dims != out_dims else None)
        self.stride_q = tuple(stride_q)
        self.drop_path = drop_path
        self.with_cp = with_cp

    def _skip(self, x: Tensor, normed: Tensor, size: Size) -> Tensor:
        """Skip path: where the width changes, of the *normalised* input.

        The grid is max pooled in space, channels last.
        """
        if self.proj is not None:
            x = self.proj(normed)
        stride = self.stride_q[1:]
        if max(stride) == 1:
            return x
        kernel = [s + 1 if s > 1 else s for s in stride]
        grid = x[:, 1:].reshape(-1, *size[1:], x.shape[-1])
        grid = F.max_pool2d(
            grid.permute(0, 3, 1, 2), kernel, stride, [k // 2 for k in kernel])
        grid = grid.permute(0, 2, 3, 1).reshape(x.shape[0], -1, x.shape[-1])
        return torch.cat((x[:, :1], grid), dim=1)

    def _keep(self, x: Tensor) -> Optional[Tensor]:
        """Stochastic depth: what to scale a residual branch by, (B, )."""
        if not self.training or self.drop_path == 0.:
            return None
        keep = 1 - self.drop_path
        return x.new_empty(x.shape[0]).bernoulli_(keep).div_(keep)

    def _forward(
        self, x: Tensor, size: Size, memory: Optional[LayerMemory],
        valid: Optional[Tensor], hidden: Optional[Tensor],
        shared: Optional[Dict]
    ) -> Tuple[Tensor, Optional[LayerMemory]]:
        normed = normalize(self.norm1, x)
        branch, memory = self.attn(normed, size, memory, valid, hidden, shared)
        x, normed = add_layer_norm(
            self._skip(x, normed, size), branch, self.norm2.weight,
            self.norm2.bias, self.norm2.eps, self._keep(x))
        branch, keep = self.mlp(normed), self._keep(x)
        if keep is None:
            return x + branch, memory
        return torch.addcmul(x, branch, keep[:, None, None]), memory

    def forward(
        self,
        x: Tensor,
        size: Size,
        memory: Optional[LayerMemory] = None,
        valid: Optional[Tensor] = None,
        hidden: Optional[Tensor] = None,
        shared: Optional[Dict] = None
    ) -> Tuple[Tensor, Optional[LayerMemory]]:
        """One step; arguments and results as :class:`PoolingAttention`."""
        args = (x, size, memory, valid, hidden, shared)
        if self.with_cp and torch.is_grad_enabled():
            return cp.checkpoint(self._forward, *args, use_reentrant=False)
        return self._forward(*args)


def normalize(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """Call a LayerNorm, keeping the dtype of x under autocast."""
    return layer_norm(x, norm.weight, norm.bias, norm.eps)


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
        dim_mul_in_attention (bool): Only True. Defaults to True.
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
    arch_zoo = {
        'tiny': {
            'embed_dims': 32,
            'num_layers': 4,
            'num_heads': 1,
            'downscale_indices': [1, 2, 3]
        },
        'small': {
            'embed_dims': 96,
            'num_layers': 16,
            'num_heads': 1,
            'downscale_indices': [1, 3, 14]
        },
        'base': {
            'embed_dims': 96,
            'num_layers': 24,
            'num_heads': 1,
            'downscale_indices': [2, 5, 21]
        },
    }

    def __init__(
        self,
        arch: Union[str, Dict] = 'small',
        spatial_size: Union[int, Tuple[int, int]] = 224,
        temporal_size: int = 16,
        mem_len: int = 2,
        mem_stride: int = 1,
        mem_layers: Union[str, Sequence[int]] = 'even',
        mem_compress: Optional[Dict] = dict(  # noqa: B006
            kernel_size=(7, 3, 3), stride=(4, 2, 2)),
        mem_mask: str = 'exclude',
        mem_compress_at: str = 'first_use',
        causal: bool = False,
        in_channels: int = 3,
        out_scales: Union[int, Sequence[int]] = -1,
        drop_path_rate: float = 0.,
        pool_kernel: Size = (3, 3, 3),
        dim_mul: int = 2,
        head_mul: int = 2,
        adaptive_kv_stride: Size = (1, 8, 8),
        residual_pooling: bool = True,
        dim_mul_in_attention: bool = True,
        output_cls_token: bool = True,
        rel_pos_zero_init: bool = False,
        mlp_ratio: float = 4.,
        qkv_bias: bool = True,
        norm_cfg: Dict = dict(type='LN', eps=1e-6),  # noqa: B006
        patch_cfg: Dict = dict(  # noqa: B006
            kernel_size=(3, 7, 7), stride=(2, 4, 4), padding=(1, 3, 3)),
        with_cp: bool = False,
        init_cfg: Optional[Union[Dict, List[Dict]]] = _INIT
    ) -> None:
        super().__init__(
            init_cfg=init_cfg.copy() if init_cfg is not None else None)
        self.arch_settings = self._arch(arch)
        depth = self.arch_settings['num_layers']
        downscale = list(self.arch_settings['downscale_indices'])
        spatial_size = to_2tuple(spatial_size)
        stride = patch_cfg['stride']
        self.total_stride = (stride[0], *(s * 2**len(downscale)
                                          for s in stride[1:]))
        self._check_clip(temporal_size, *spatial_size)
        if causal:
            self._check_causal(patch_cfg)
        if not dim_mul_in_attention:
            raise ValueError(
                "dim_mul_in_attention=False is MViT's older layout; MeMViT "
                'widens inside attention: drop the argument')
        spec = self._memory_spec(mem_len, mem_stride, mem_compress, mem_mask,
                                 mem_compress_at)
        self.mem_len, self.mem_stride = mem_len, mem_stride
        self.mem_layers = self._memory_layers(mem_layers, depth, mem_len)
        self.temporal_size = temporal_size
        self.spatial_size = spatial_size
        self.output_cls_token = output_cls_token

        dims, heads = (self.arch_settings[k]
                       for k in ('embed_dims', 'num_heads'))
        self.embed_dims, self.num_layers = dims, depth
        self.patch_embed = nn.ModuleDict(
            dict(projection=nn.Conv3d(in_channels, dims, **patch_cfg)))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dims))

        ends = [*(index - 1 for index in downscale), depth - 1]
        self.out_scales = self._out_scales(out_scales, len(ends))
        # Blocks after which a scale is put out, and which.
        self.scale_after = {ends[i]: i for i in self.out_scales}

        drop_path = np.linspace(0, drop_path_rate, depth).tolist()
        stride_kv = tuple(adaptive_kv_stride)
        size = self.grid_size(temporal_size, *spatial_size)
        self.blocks = ModuleList()
        for i in range(depth):
            out_dims, stride_q = dims, (1, 1, 1)
            if i in downscale:
                out_dims, heads = dims * dim_mul, heads * head_mul
                stride_q = (1, 2, 2)
                stride_kv = tuple(max(s // 2, 1) for s in stride_kv)
            self.blocks.append(
                MeMViTBlock(
                    dims,
                    out_dims,
                    heads,
                    size,
                    stride_q,
                    mlp_ratio=mlp_ratio,
                    drop_path=drop_path[i],
                    norm_cfg=norm_cfg,
                    with_cp=with_cp,
                    stride_kv=stride_kv,
                    pool_kernel=pool_kernel,
                    qkv_bias=qkv_bias,
                    residual_pooling=residual_pooling,
                    rel_pos_zero_init=rel_pos_zero_init,
                    memory=spec if i in self.mem_layers else None,
                    causal=causal))
            size = pooled_size(size, stride_q)
            dims = out_dims
            if i in self.scale_after:
                self.add_module(f'norm{self.scale_after[i]}',
                                build_norm_layer(norm_cfg, dims)[1])
        self.feat_dims = dims
        self._register_load_state_dict_pre_hook(self._fit_checkpoint)

    # ------------------------------------------------------------- arguments
    def _arch(self, arch: Union[str, Dict]) -> Dict:
        if isinstance(arch, dict):
            keys = {
                'embed_dims', 'num_layers', 'num_heads', 'downscale_indices'
            }
            if not keys <= set(arch):
                raise ValueError(f'arch lacks {sorted(keys - set(arch))}; a '
                                 f'custom arch needs {sorted(keys)}')
            return arch
        if str(arch).lower() not in self.arch_zoo:
            raise ValueError(f'arch {arch!r} is not one of '
                             f'{sorted(self.arch_zoo)}; name one of them or '
                             'give a dict')
        return self.arch_zoo[arch.lower()]

    @staticmethod
    def _check_causal(patch_cfg: Dict) -> None:
        """Check that no token's patches reach beyond the token's frames."""
        kernel, stride = patch_cfg['kernel_size'][0], patch_cfg['stride'][0]
        padding = patch_cfg.get('padding', (0, 0, 0))[0]
        if kernel - padding > stride:
            raise ValueError(
                f'the patch embedding (in time: kernel {kernel}, stride '
                f'{stride}, padding {padding}) sees frames after those of '
                'its token, so the model would not be causal: padding must '
                f'be at least kernel - stride, {kernel - stride}')

    @staticmethod
    def _memory_spec(mem_len: int, mem_stride: int,
                     mem_compress: Optional[Dict], mem_mask: str,
                     mem_compress_at: str) -> MemorySpec:
        if mem_len < 0:
            raise ValueError(f'mem_len is {mem_len}, but must be 0 (no '
                             'memory) or the number of clips to attend to')
        if mem_stride < 1:
            raise ValueError(f'mem_stride is {mem_stride}, but must be at '
                             'least 1 (every clip)')
        for name, value, choices in (('mem_mask', mem_mask,
                                      ('exclude', 'zero')),
                                     ('mem_compress_at', mem_compress_at,
                                      ('first_use', 'next'))):
            if value not in choices:
                raise ValueError(
                    f'{name} is {value!r}, but must be one of {choices}')
        if mem_compress is None:
            age = mem_len * mem_stride
        else:
            age = mem_stride if mem_compress_at == 'first_use' else 1
        return MemorySpec(mem_len, mem_stride, age, mem_compress,
                          mem_mask == 'zero')

    @staticmethod
    def _memory_layers(mem_layers: Union[str, Sequence[int]], depth: int,
                       mem_len: int) -> Tuple[int, ...]:
        if mem_layers == 'even':
            layers = range(0, depth, 2)
        elif mem_layers == 'all':
            layers = range(depth)
        elif isinstance(mem_layers, str):
            raise ValueError(f'mem_layers is {mem_layers!r}, but must be '
                             "'even', 'all' or a sequence of block indices")
        else:
            layers = sorted(set(mem_layers))
        bad = [i for i in layers if not 0 <= i < depth]
        if bad:
            raise ValueError(f'mem_layers has {bad}, but the {depth} blocks '
                             f'are numbered 0 to {depth - 1}')
        return tuple(layers) if mem_len else ()

    @staticmethod
    def _out_scales(out_scales: Union[int, Sequence[int]],
                    num_scales: int) -> Tuple[int, ...]:
        if isinstance(out_scales, int):
            out_scales = [out_scales]
        scales = sorted(s + num_scales if s < 0 else s for s in out_scales)
        if not scales or not 0 <= scales[0] <= scales[-1] < num_scales:
            raise ValueError(f'out_scales is {out_scales}, but the stages '
                             f'are numbered 0 to {num_scales - 1}')
        return tuple(scales)

    def _check_clip(self, frames: int, height: int, width: int) -> None:
        stride = self.total_stride
        bad = [
            f'{name} {value} (at least {s})'
            for name, value, s in zip(('frames', 'height', 'width'), (
                frames, height, width), stride) if value < s
        ]
        if not bad and frames % stride[0]:
            bad = [f'frames {frames} (a multiple of {stride[0]})']
        if bad:
            raise ValueError(
                f'a clip of {frames} frames of {height}x{width} does not fit '
                f'the strides of MeMViT: {", ".join(bad)}; resize or crop '
                'the frames, or change clip_len')

    # ---------------------------------------------------------------- shapes
    def grid_size(self, frames: int, height: int, width: int) -> Size:
        """Token grid (T, H, W) of a clip after the patch embedding."""
        return pooled_size((frames, height, width),
                           self.patch_embed['projection'].stride)

    def init_memory(
            self,
            batch_size: int,
            input_size: Optional[Tuple[int, int]] = None,
            dtype: Optional[torch.dtype] = None,
            device: Optional[torch.device] = None) -> Optional[StreamMemory]:
        """The memory at the start of streams: empty, of its final shapes.

        Args:
            batch_size (int): Streams B.
            input_size (tuple[int], optional): Height and width of the
                frames. Defaults to ``spatial_size``.
            dtype (torch.dtype, optional): Defaults to that of the
                parameters, or of autocast where that is on.
            device (torch.device, optional): Defaults to the parameters'.

        Returns:
            StreamMemory | None: With nothing valid; None with ``mem_len`` 0.
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
                attn, spec = block.attn, block.attn.memory
                key_size = attn.key_size(size)
                layers.append(
                    LayerMemory.empty(
                        batch_size, 1 + math.prod(key_size),
                        1 + math.prod(attn.entry_size(key_size)),
                        attn.k.in_features, spec.compress_age,
                        spec.num_compressed, dtype, device))
            size = pooled_size(size, block.stride_q)
        nothing = torch.zeros(
            batch_size,
            self.mem_len * self.mem_stride,
            dtype=torch.bool,
            device=device)
        return StreamMemory(
            tuple(layers), nothing, frame_size,
            nothing.clone() if spec.zero_mask else None)

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

    def _hidden(self, memory: StreamMemory) -> Tensor:
        """Which attended entries nobody sees: bool, (B, M), oldest first."""
        spec = self.blocks[self.mem_layers[0]].attn.memory
        seen = memory.filled if spec.zero_mask else memory.valid
        return ~spec.attended(seen)

    # --------------------------------------------------------------- forward
    def _output(self, tokens: Tensor, size: Size,
                norm: nn.Module) -> Union[Tensor, List[Tensor]]:
        """Features of one scale.

        Class and grid tokens pass the norm together, so that a head that
        reads one of them leaves no parameter without a gradient
        (DistributedDataParallel waits for each).
        """
        tokens = normalize(norm, tokens).transpose(1, 2)
        # (B, C, T*H*W) -> (B, C, T, H, W)
        patch = tokens[..., 1:].unflatten(2, size)
        return [patch, tokens[..., 0]] if self.output_cls_token else patch

    def forward(
        self,
        x: Tensor,
        memory: Optional[StreamMemory] = None,
        elapsed: Optional[Tensor] = None
    ) -> Union[Tuple, Tuple[Tuple, StreamMemory]]:
        """One clip of each stream.

        Args:
            x (Tensor): (B, 3, T, H, W), normalised.
            memory (StreamMemory, optional): What is remembered of the clips
                before. Defaults to None: nothing, and nothing is returned.
            elapsed (Tensor, optional): Not used: MeMViT counts clips.

        Returns:
            tuple | tuple[tuple, StreamMemory]: Features, one element a scale
            of ``out_scales``: ``[patch (B, C, T', H', W'), cls (B, C)]``,
            after the norm; with ``memory``, also the next memory.
        """
        self._check_clip(*x.shape[2:])
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
        elif self.training and self.mem_layers:
            # An empty memory changes no output, and gives every parameter a
            # (zero) gradient, as DistributedDataParallel asks for.
            memory = self.init_memory(x.shape[0], x.shape[3:])

        grid = embed_patches(x, self.patch_embed['projection'])
        cls = self.cls_token.expand(x.shape[0], -1, -1).to(grid.dtype)
        tokens = torch.cat((cls, grid), dim=1)
        size = self.grid_size(*x.shape[2:])
        outs, layers, shared = [], [], {}
        hidden = None if memory is None else self._hidden(memory)
        for i, block in enumerate(self.blocks):
            args = ()
            if memory is not None and i in self.mem_layers:
                args = (memory.layers[len(layers)], memory.valid, hidden)
            tokens, layer = block(
                tokens, size, *args, shared=shared)
            size = pooled_size(size, block.stride_q)
            if args:
                layers.append(layer)
            if i in self.scale_after:
                norm = getattr(self, f'norm{self.scale_after[i]}')
                outs.append(self._output(tokens, size, norm))
        if not keep_memory:
            return tuple(outs)
        return tuple(outs), memory.push(layers, tuple(x.shape[3:]))

    # --------------------------------------------------------------- weights
    def init_weights(self) -> None:
        """Initialise, or load ``init_cfg``'s checkpoint as far as it fits."""
        cfgs = self.init_cfg or []
        cfgs = [cfgs] if isinstance(cfgs, dict) else list(cfgs)
        pretrained = [x for x in cfgs if x['type'] == 'Pretrained']
        if pretrained:
            # For the tensors that the checkpoint lacks.
            self.init_cfg = [x for x in cfgs if x not in pretrained
                             ] or copy.deepcopy(_INIT)
        super().init_weights()
        trunc_normal_(self.cls_token, std=0.02)
        for cfg in pretrained:
            self._load_what_fits(cfg['checkpoint'],
                                 cfg.get('prefix', 'backbone.'))

    def _load_what_fits(self, path: str, prefix: str) -> None:
        state = CheckpointLoader.load_checkpoint(path, map_location='cpu')
        state = state.get('state_dict', state)
        state = {
            key[len(prefix):]: value
            for key, value in state.items() if key.startswith(prefix)
        } or state
        state, left_out = adapt_mvit_state(state, self.state_dict(), path)
        missing = self.load_state_dict(state, strict=False).missing_keys
        MMLogger.get_current_instance().info(
            f'{path}: loaded {len(state)} tensors, left out '
            f'{left_out or "none"}, initialised anew {missing or "none"}')

    def _fit_checkpoint(self, state_dict: Dict, prefix: str, *args) -> None:
        """Resize position tables of a checkpoint before it is loaded."""
        fit_position_tables(state_dict, prefix, self.state_dict(),
                            self.arch_settings)
