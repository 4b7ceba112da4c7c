# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from mmaction.models.utils import RandomBatchAugment
from mmaction.registry import MODELS
from mmaction.utils import SampleList
from torch import Tensor


@MODELS.register_module()
class MultiTaskBatchAugment(RandomBatchAugment):
    """Mixup and CutMix for clips with labels for several tasks.

    MMAction2's own would take three labels for the scores of three classes.
    Here they become shares of the classes of all tasks in a row, which
    :class:`MultiTaskHead` takes apart again; an unknown label (-1) has a
    share in no class. For ``data_preprocessor.blending``; not for streams
    with memory.

    Args:
        num_classes (dict): Number of classes by task, as the head's.
        augments (dict | list): Configs of blendings, without ``num_classes``.
        probs (float | list[float], optional): Their probabilities. Defaults
            to None: equal.
        label_order (Sequence[str]): As the head's. Defaults to
            ``('verb', 'noun', 'action')``.
    """

    def __init__(
            self, num_classes: Dict[str, int], augments: Union[dict, list],
            probs: Optional[Union[float, List[float]]] = None,
            label_order: Sequence[str] = ('verb', 'noun', 'action')) -> None:
        augments = [augments] if isinstance(augments, dict) else augments
        total = sum(num_classes.values())
        super().__init__([dict(x, num_classes=total) for x in augments], probs)
        # As the head has them, whatever the order of a config's keys.
        self.sizes = {task: num_classes[task] for task in label_order
                      if task in num_classes}
        self.columns = [tuple(label_order).index(x) for x in self.sizes]

    def __call__(self, imgs: Tensor, batch_data_samples: SampleList,
                 **kwargs) -> Tuple[Tensor, SampleList]:
        """Blend clips (B, ...), float, with ``gt_label`` (3, ) each.

        Returns:
            tuple: Blended clips, and samples with ``gt_label`` of shape
            (number of all classes, ), float.
        """
        labels = torch.stack([x.gt_label for x in batch_data_samples])
        labels = labels.to(imgs.device)
        # A class in front takes the unknown and goes.
        shares = torch.cat([
            F.one_hot(labels[:, column].clamp(min=-1) + 1, size + 1)[:, 1:]
            for column, size in zip(self.columns, self.sizes.values())], 1)
        imgs, shares = self.do_blending(imgs, shares.float(), **kwargs)
        for sample, share in zip(batch_data_samples, shares):
            sample.set_gt_label(share)
        return imgs, batch_data_samples
