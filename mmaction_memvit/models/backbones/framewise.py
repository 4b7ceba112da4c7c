# Copyright (c) mmaction_memvit contributors. All rights reserved.
from mmaction.registry import MODELS
from mmaction.utils import ConfigType
from mmengine.model import BaseModule
from torch import Tensor


@MODELS.register_module()
class FramewiseBackbone(BaseModule):
    """A 2D backbone on every frame of clips, for recognizers of clips.

    Args:
        backbone (dict): Of frames (B, 3, H, W): a ResNet, ResNetTSM with
            ``num_segments`` of the clip's length, a ViT.
        init_cfg (dict, optional): As of ``BaseModule``. Defaults to None.
    """

    def __init__(self, backbone: ConfigType,
                 init_cfg: ConfigType = None) -> None:
        super().__init__(init_cfg)
        self.backbone = MODELS.build(backbone)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, T, H', W') of clips (B, 3, T, H, W).

        H' and W' are 1 where the backbone gives a vector a frame.
        """
        out = self.backbone(x.transpose(1, 2).flatten(0, 1))
        if isinstance(out, (tuple, list)):
            out = out[-1]
        if out.ndim == 2:
            out = out[..., None, None]
        return out.unflatten(0, (-1, x.shape[2])).transpose(1, 2)


@MODELS.register_module()
class FeatureBackbone(BaseModule):
    """The place of the backbone where features were taken out beforehand.

    Gives what it gets: clips of T feature vectors, (B, C, T, 1, 1).
    """

    def forward(self, x: Tensor) -> Tensor:
        """The features themselves."""
        return x
