# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Parameters and multiply-adds, counted as MMAction2's get_flops counts."""
import copy
import math
from functools import partial
from typing import Callable, NamedTuple, Optional
from unittest import mock

import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from mmaction_memvit.memory import MemoryHost

from .sampling import clips_of, every_dict

aten = torch.ops.aten


class Cost(NamedTuple):
    """What a model is and does, see :func:`cost_of`."""

    params: int
    macs: int  # of one clip
    frames: int  # of a clip
    size: int  # height and width of its frames, as in training


def layer_norm(x: tuple, *args, out_shape=None, **kwargs) -> int:
    """As MMEngine estimates it: five for each number."""
    return 2 * 5 * math.prod(x)


def batch_norm(x: tuple, *args, out_shape=None, **kwargs) -> int:
    """As MMEngine counts it in evaluation: two for each number."""
    return 2 * 2 * math.prod(x)


def attention(q: tuple, k: tuple, v: tuple, *args, out_shape=None,
              **kwargs) -> int:
    """As PyTorch counts it elsewhere than on a CPU."""
    return sdpa_flop_count(q, k, v)


#: Beside convolutions and matrix products. Two operations are one
#: multiply-add; MMEngine adds those of norms to the latter as they are.
MORE = {aten.native_layer_norm: layer_norm,
        aten.native_batch_norm: batch_norm,
        aten._native_batch_norm_legit_no_training: batch_norm}
if hasattr(aten, '_scaled_dot_product_flash_attention_for_cpu'):
    # From PyTorch 2.2 on.
    MORE[aten._scaled_dot_product_flash_attention_for_cpu] = attention


def macs_of(run: Callable[[], object]) -> int:
    """Multiply-adds of what a function does in evaluation.

    Convolutions, matrix products, attention and norms. What looks whether it
    is traced runs as it is defined: fused attention has wider heads, which
    carry the positions.
    """
    # PyTorch's fused attention is one operator, of which nothing is known.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), FlopCounterMode(
                display=False, custom_mapping=MORE) as counter, mock.patch(
                    'torch.jit.is_tracing', return_value=True):
            run()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops() // 2


def scores_of(model: nn.Module, x: Tensor) -> object:
    """What a model makes of inputs as the data preprocessor gives them.

    Of a detector, features of backbone and neck. What remembers gets its
    memory: that of a stream's first clip, which is as large as any other.
    """
    if hasattr(model, 'roi_head'):
        return features(model, x)
    if not (isinstance(model, MemoryHost) and model.with_memory):
        return model(x, stage='head', mode='tensor')
    x = x.flatten(0, 1) if x.ndim == 6 else x
    out, _ = model.step(x, model.init_memory(len(x), tuple(x.shape[-2:])))
    if model.remembering[2]:
        return out
    if model.with_neck and not model.remembering[1]:
        out, _ = model.neck(out)
    return model.cls_head(out)


def features(model: nn.Module, x: Tensor) -> object:
    """What a detector's backbone and neck make of clips."""
    backbone, clips = model.backbone, x.flatten(0, 1) if x.ndim == 6 else x
    if isinstance(model, MemoryHost) and model.remembering[0]:
        return backbone(clips, backbone.init_memory(
            len(clips), tuple(x.shape[-2:])))
    # Where clips share a memory, boxes are asked for behind it.
    return backbone(clips) if hasattr(model, 'mode') else model.extract_feat(x)


def feature_channels(model: dict) -> Optional[int]:
    """Channels of the features that a model starts from, None of frames."""
    if not model.backbone.type.endswith('FeatureBackbone'):
        return None
    part = model.get('neck') or model.cls_head
    return part.get('head', part).in_channels


def without_counts(model: dict) -> dict:
    """The model's config without losses that count classes in files."""
    for part in every_dict(model):
        if part.get('class_counts') is not None:
            # A loss of rare classes has no parameters.
            part.clear()
            part['type'] = 'CrossEntropyLoss'
    return model


def without_files(model: dict) -> dict:
    """The model's config without what would be read, and what needs values."""
    model.pop('data_preprocessor', None)
    for part in every_dict(without_counts(model)):
        for key in ('init_cfg', 'pretrained'):
            if key in part:
                part[key] = None
    return model


def cost_of(cfg: Config, size: Optional[int] = None) -> Cost:
    """Count a config's model, without weights, data or time.

    For multiply-adds see :func:`macs_of`; of a detector those of backbone and
    neck; a memory is full. One clip is counted, also where several share a
    memory.

    Args:
        cfg (Config): A whole config; its data tell the frames of a clip.
        size (int, optional): Height and width of frames. Defaults to None:
            as in training, see :func:`clips_of`; 1 of features.
    """
    init_default_scope('mmaction')
    _, frames, trained = clips_of(cfg)
    size = size or trained
    # Nothing is computed, but for rates of stochastic depth, which are read.
    with torch.device('meta'), mock.patch(
            'torch.linspace', partial(torch.linspace, device='cpu')):
        model = MODELS.build(without_files(copy.deepcopy(cfg.model))).eval()
        channels = feature_channels(cfg.model)
        if channels:
            size = 1
        inputs = torch.empty(1, 1, channels or 3, frames, size, size)
        macs = macs_of(lambda: scores_of(model, inputs))
    return Cost(sum(p.numel() for p in model.parameters()), macs, frames, size)
