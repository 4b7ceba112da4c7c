# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Dict, Optional, Tuple

from mmaction.models.recognizers import Recognizer3D
from mmaction.registry import MODELS
from mmaction.utils import OptSampleList, SampleList
from mmengine.model import merge_dict
from torch import Tensor

from mmaction_memvit.memory import MemoryHost, clip_identities, run_part
from mmaction_memvit.memory.state import cat, tree_map
from mmaction_memvit.ops.precision import full_precision

from .cuda_graph import GraphedSteps

# Labels of clips for which nothing is annotated.
UNLABELLED = -1


@MODELS.register_module()
class OnlineRecognizer3D(GraphedSteps, MemoryHost, Recognizer3D):
    """Recognizer of long videos, clip by clip, that owns the memory.

    Reads the streams' memories from a bank, hands them with the clips to the
    parts that remember (backbone, neck, head; see :class:`MemoryHost`), and
    stores what comes back. Each mode has a bank of its own, so validation
    cannot touch the training memory. Without a part that remembers it is a
    :class:`Recognizer3D` on the same data: the baseline.

    Clips labelled -1 run through the backbone for their memory's sake and
    take no part in the loss. A head that knows labels of -1 itself, such as
    :class:`FrameLevelHead` and :class:`MultiTaskHead`, says so by an
    attribute ``takes_unlabelled`` and gets all clips.

    Args:
        init_cfg (dict, optional): Of the whole model:
            ``dict(type='Pretrained', checkpoint=...)`` takes what fits of a
            checkpoint, such as the backbone that a neck trained over features
            belongs to. Defaults to None.
        **kwargs: For :class:`GraphedSteps` (``cuda_graph``),
            :class:`MemoryHost` (``max_gap``, ``max_streams``, ``bptt_clips``,
            ``with_cp``) and :class:`Recognizer3D`.

    Raises:
        ValueError: If a head that remembers comes after a neck that does not.
    """

    def __init__(self, *args, init_cfg: Optional[dict] = None,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        # MMAction2's recognizers do not take it.
        self.init_cfg = init_cfg
        if self.remembering[2] and self.with_neck and not self.remembering[1]:
            raise ValueError(
                f'{type(self.cls_head).__name__} remembers, but comes after '
                f'{type(self.neck).__name__}, a neck that does not: use none, '
                'or one that remembers')

    def memory_parts(self) -> tuple:
        """Backbone, neck and head; None for one that is not there."""
        return (self.backbone, self.neck if self.with_neck else None,
                self.cls_head if self.with_cls_head else None)

    def step(self, clips: Tensor, memory: Optional[tuple] = None,
             elapsed: Optional[Tensor] = None) -> Tuple:
        """One clip of each stream, see :meth:`MemoryHost.step`.

        Gives what the last part that remembers does, at least the backbone's
        features, of a head its scores; and the next memory (None if none came
        in).
        """
        return self.replay(self._step, clips, memory, elapsed)

    def _step(self, clips: Tensor, memory: Optional[tuple],
              elapsed: Optional[Tensor]) -> Tuple:
        own, of_neck, of_head = memory or (None, None, None)
        feats, own = run_part(self.backbone, clips, own, elapsed)
        if of_neck is not None:
            feats, of_neck = self.neck(feats, of_neck, elapsed)
        if of_head is not None:
            with full_precision(clips):
                feats, of_head = self.cls_head(
                    self._in_head_dtype(feats), of_head, elapsed)
        return feats, None if memory is None else (own, of_neck, of_head)

    def extract_feat(self, inputs: Tensor, stage: str = 'neck',
                     data_samples: OptSampleList = None,
                     test_mode: bool = False) -> Tuple:
        """Extract features of clips, with memory if their identity is known.

        Args:
            inputs (Tensor): (N, views, 3, T, H, W).
            stage (str): 'backbone', 'neck' or 'head'. Defaults to 'neck'.
            data_samples (list[ActionDataSample], optional): Which clips these
                are. Defaults to None: nothing is remembered or stored.
            test_mode (bool): Defaults to False.

        Returns:
            tuple: Features, and keyword arguments for the head.
        """
        if data_samples is None or stage != 'neck':
            return super().extract_feat(inputs, stage=stage,
                                        data_samples=data_samples,
                                        test_mode=test_mode)
        test_cfg = (self.test_cfg or {}) if test_mode else {}
        identities = None
        if self.with_memory:
            identities = clip_identities(data_samples, inputs.shape[1])
        parts = self.run_batch(self.bank(test_mode), inputs.flatten(0, 1),
                               identities,
                               most=test_cfg.get('max_testing_views'))
        feats = cat([out for _, out in parts])
        kwargs = dict()
        if test_mode and self.test_cfg is not None:
            kwargs['fcn_test'] = test_cfg.get('fcn_test', False)
        if self.with_neck and not self.remembering[1]:
            feats, loss_aux = self.neck(
                feats, data_samples=None if test_mode else data_samples)
            if not test_mode:
                kwargs['loss_aux'] = loss_aux
        elif not test_mode:
            kwargs['loss_aux'] = dict()
        return feats, kwargs

    def loss(self, inputs: Tensor, data_samples: SampleList,
             **kwargs) -> Dict[str, Tensor]:
        """Losses of one step of the streams, over the labelled clips.

        A zero where no clip of the batch is labelled. ``inputs`` are (N, 1, 3,
        T, H, W); of windows, all lanes of the first step, then all of the
        next.
        """
        feats, head_kwargs = self.extract_feat(
            inputs, data_samples=data_samples)
        feats = self._in_head_dtype(feats)
        # Accuracies make the head wait for the device anyway.
        takes_all = getattr(self.cls_head, 'takes_unlabelled', False)
        keep = [i for i, sample in enumerate(data_samples) if takes_all
                or (sample.gt_label != UNLABELLED).all()]
        with full_precision(inputs):
            if not keep:
                # The graph is kept: other processes expect gradients.
                scores = (feats if self.remembering[2]
                          else self.cls_head(feats, **head_kwargs))
                return dict(loss_cls=scores.sum() * 0.)
            if len(keep) < len(data_samples):
                data_samples = [data_samples[i] for i in keep]
                feats = tree_map(lambda x: x[keep], feats)
            if self.remembering[2]:
                return self.cls_head.loss_by_feat(feats, data_samples)
            losses = self.cls_head.loss(feats, data_samples, **head_kwargs)
        return merge_dict(losses, head_kwargs.get('loss_aux', dict()))

    def predict(self, inputs: Tensor, data_samples: SampleList,
                **kwargs) -> SampleList:
        """Samples with ``pred_score`` of one step of the streams.

        ``inputs`` are (N, views, 3, T, H, W). :class:`VideoAccMetric` puts a
        video's clips together.
        """
        feats, head_kwargs = self.extract_feat(
            inputs, data_samples=data_samples, test_mode=True)
        feats = self._in_head_dtype(feats)
        with full_precision(inputs):
            if self.remembering[2]:
                return self.cls_head.predict_by_feat(feats, data_samples)
            return self.cls_head.predict(feats, data_samples, **head_kwargs)

    def _in_head_dtype(self, feats: object) -> object:
        """Features as the head's parameters are, whatever autocast made them.

        The head runs without autocast: it is a small part of the work, scores
        are exact, and MMAction2's heads cannot count accuracy in bfloat16,
        which NumPy does not have.
        """
        param = next(self.cls_head.parameters(), None)
        if param is None:
            return feats
        return tree_map(lambda x: x.to(param.dtype), feats)
