# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Parameters and operations of a config's model, on shapes alone."""
import copy
import math
from typing import NamedTuple, Optional
from unittest import mock

import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch.utils.flop_counter import FlopCounterMode

from .sampling import clips_of, every_dict

aten = torch.ops.aten


class Cost(NamedTuple):
    """What a model is and does.

    Attributes:
        params (int): Its parameters.
        macs (int): Multiply-adds of one clip, see :func:`cost_of`.
        frames (int): Of a clip.
        size (int): Height and width of its frames, as in training.
    """

    params: int
    macs: int
    frames: int
    size: int


def layer_norm(x: tuple, *args, out_shape=None, **kwargs) -> int:
    """As MMEngine estimates it: five for each number."""
    return 2 * 5 * math.prod(x)


def batch_norm(x: tuple, *args, out_shape=None, **kwargs) -> int:
    """As MMEngine counts it in evaluation: two for each number."""
    return 2 * 2 * math.prod(x)


#: Beside convolutions and matrix products. Two operations are one
#: multiply-add; MMEngine adds those of norms to the latter as they are.
NORMS = {
    aten.native_layer_norm: layer_norm,
    aten.native_batch_norm: batch_norm,
    aten._native_batch_norm_legit_no_training: batch_norm,
}


def without_files(model: dict) -> dict:
    """The model's config without what would be read, and what needs values."""
    model.pop('data_preprocessor', None)
    for part in every_dict(model):
        for key in ('init_cfg', 'pretrained'):
            if key in part:
                part[key] = None
        if part.get('class_counts') is not None:
            # A loss of rare classes has no parameters.
            part.clear()
            part['type'] = 'CrossEntropyLoss'
    return model


def cost_of(cfg: Config, size: Optional[int] = None) -> Cost:
    """Count a config's model, without weights, data or time.

    Multiply-adds are those of MMAction2's get_flops: convolutions, matrix
    products and norms in evaluation, attention as it is defined, of a
    detector its backbone and neck; a memory is full. One clip is counted,
    also where several share a memory.

    Args:
        cfg (Config): A whole config; its data tell the frames of a clip.
        size (int, optional): Height and width of frames. Defaults to None:
            those of the backbone or of crops, else 224.
    """
    init_default_scope('mmaction')
    _, frames, cropped = clips_of(cfg)
    size = size or cfg.model.backbone.get('spatial_size', cropped)
    # Nothing is computed; tracing is what tells the parts of a model to run
    # as they are defined, with a memory.
    with torch.device('meta'), torch.no_grad(), mock.patch(
            'torch.jit.is_tracing', return_value=True):
        model = MODELS.build(without_files(copy.deepcopy(cfg.model))).eval()
        channels = 3
        if cfg.model.backbone.type == 'FeatureBackbone':
            first = cfg.model.get('neck') or cfg.model.cls_head
            channels, size = first.in_channels, 1
        inputs = torch.empty(1, 1, channels, frames, size, size)
        with FlopCounterMode(display=False, custom_mapping=NORMS) as counter:
            if hasattr(model, 'roi_head'):
                model.extract_feat(inputs)
            elif any(getattr(model, 'remembering', ())[1:]):
                # Neck and head that remember run over what they have seen.
                out, _ = model.step(inputs[0],
                                    model.init_memory(1, (size, size)))
                if not model.remembering[2]:
                    model.cls_head(out)
            else:
                model(inputs, stage='head', mode='tensor')
    return Cost(sum(p.numel() for p in model.parameters()),
                counter.get_total_flops() // 2, frames, size)
