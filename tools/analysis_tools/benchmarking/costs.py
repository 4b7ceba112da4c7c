# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Multiply-adds, counted as MMAction2's get_flops counts them."""
import warnings

import torch
from mmengine.analysis import FlopAnalyzer
from torch import Tensor, nn

from mmaction_memvit.memory import MemoryHost

from .counting import tensors_of


class Features(nn.Module):
    """Backbone and neck of a recognizer or detector.

    A backbone that remembers gets its memory: that of a stream's first clip,
    which is as large as any other.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> list:
        """Features of inputs as the data preprocessor gives them."""
        model, backbone = self.model, self.model.backbone
        if isinstance(model, MemoryHost) and model.remembering[0]:
            x = x.flatten(0, 1) if x.ndim == 6 else x
            feats, _ = backbone(
                x, backbone.init_memory(len(x), tuple(x.shape[-2:])))
        elif hasattr(model, 'roi_head') and hasattr(model, 'mode'):
            # Clips that share a memory: boxes are asked for behind it.
            feats = backbone(x.flatten(0, 1) if x.ndim == 6 else x)
        else:
            feats = model.extract_feat(x)
        return list(tensors_of(feats))


def giga_macs(model: nn.Module, inputs: Tensor) -> float:
    """Multiply-adds of a step in evaluation, in thousands of millions.

    As :func:`mmengine.analysis.get_model_complexity_info`, which MMAction2's
    get_flops calls, counts them: by tracing backbone and neck.
    """
    counter = FlopAnalyzer(Features(model.eval()), (inputs, ))
    counter.unsupported_ops_warnings(False).uncalled_modules_warnings(
        False).tracer_warnings('none')
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return counter.total() / 1e9
