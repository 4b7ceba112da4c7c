# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Optional

from mmaction.models.backbones import ResNet3d, ResNet3dSlowFast
from mmaction.models.backbones.resnet3d import NonLocal3d
from mmaction.registry import MODELS


class IdentityStart:
    """Lets the non-local blocks of a 3D ResNet start as identities.

    As in `Non-local Neural Networks <https://arxiv.org/abs/1711.07971>`_,
    section 4.1, so that blocks can be put into a trained backbone. MMCV zeroes
    what a block adds; MMAction2 then sets all normalisation to 1, and a block
    adds twice as much as there was.
    """

    def init_weights(self, pretrained: Optional[str] = None) -> None:
        """As the stock backbone, and what the blocks add is zeroed.

        Args:
            pretrained (str, optional): A checkpoint, which then says how
                blocks start. Defaults to None.
        """
        super().init_weights(pretrained)
        if self.pretrained is not None:
            return
        blocks = [
            block for path in self.modules()
            if isinstance(path, ResNet3d) and path.pretrained is None
            for block in path.modules() if isinstance(block, NonLocal3d)]
        for block in blocks:
            last = block.conv_out
            last = last.norm if last.with_norm else last.conv
            for param in last.parameters():
                param.data.zero_()


@MODELS.register_module()
class NonLocalResNet3d(IdentityStart, ResNet3d):
    """:class:`ResNet3d` whose non-local blocks start as identities."""


@MODELS.register_module()
class NonLocalResNet3dSlowFast(IdentityStart, ResNet3dSlowFast):
    """:class:`ResNet3dSlowFast` whose non-local blocks do."""
