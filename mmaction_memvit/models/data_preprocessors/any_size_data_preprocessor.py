# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import List, Tuple

from mmaction.models.data_preprocessors import ActionDataPreprocessor
from mmaction.registry import MODELS
from mmaction.utils import SampleList
from torch import Tensor


@MODELS.register_module()
class AnySizeDataPreprocessor(ActionDataPreprocessor):
    """Data preprocessor that leaves clips of different sizes apart.

    MMAction2's pads the clips of a batch to the largest, so that what a clip
    looks like depends on its neighbours. Here a batch of equal sizes becomes
    one tensor, as there; any other a list of tensors, which
    :class:`OnlineFastRCNN` takes.

    Args:
        **kwargs: For :class:`ActionDataPreprocessor`.
    """

    def preprocess(self, inputs: List[Tensor], data_samples: SampleList,
                   training: bool = False) -> Tuple:
        """Normalise clips, (3, T, H, W) each.

        Returns:
            tuple: Clips, (B, 3, T, H, W) or a list of (3, T, H, W), and the
            data samples.
        """
        if len({x.shape for x in inputs}) == 1:
            return super().preprocess(inputs, data_samples, training)
        if training and self.blending is not None:
            raise ValueError(
                'blending needs clips of one size, but the batch has '
                f'{sorted({tuple(x.shape[-2:]) for x in inputs})}: crop the '
                'training clips to one size')
        clips: List[Tensor] = []
        for clip, sample in zip(inputs, data_samples):
            batch, _ = super().preprocess([clip], [sample], False)
            clips.append(batch[0])
        return clips, data_samples
