# Copyright (c) mmaction_memvit contributors. All rights reserved.
from __future__ import annotations

import functools
from typing import Any

import numpy as np
from mmaction.evaluation import ConfusionMatrix

from .video_acc_metric import VideoAccMetric


class _OfStreams(VideoAccMetric):
    """The confusion matrix of videos or segments scored clip by clip."""

    default_prefix = ConfusionMatrix.default_prefix

    def calculate(self, preds: list, labels: list) -> dict[str, Any]:
        """Rows are labels, columns the classes of the highest score."""
        if np.ndim(labels[0]):
            raise ValueError('a confusion matrix needs one label a video, but '
                             'these have several. Remedy: MultiLabelMAPMetric')
        return dict(result=ConfusionMatrix.calculate(
            np.stack(preds), labels, num_classes=len(preds[0])))


def count_streams_by_video() -> None:
    """Lets MMAction2's ConfusionMatrix count videos or segments, not clips.

    That is, where samples are clips of streams (with ``video_id`` and
    ``timestamp``): their scores are put together as in
    :class:`VideoAccMetric`, and clips without label count in nothing. For its
    tool confusion_matrix.py as well.
    """
    process, evaluate = ConfusionMatrix.process, ConfusionMatrix.evaluate
    if hasattr(process, '__wrapped__'):
        return

    @functools.wraps(process)
    def process_streams(self, data_batch: Any, data_samples: list) -> None:
        if not all(x.get('video_id') is not None and 'timestamp' in x
                   and 'pred_score' in x for x in data_samples):
            return process(self, data_batch, data_samples)
        if not hasattr(self, 'of_streams'):
            # Which k are counted plays no role here.
            self.of_streams = _OfStreams(
                metric_options=dict(top_k_accuracy=dict(topk=1)),
                collect_device=self.collect_device)
            self.of_streams.dataset_meta = self.dataset_meta
            self.of_streams.prefix = self.prefix
        self.of_streams.process(data_batch, data_samples)

    @functools.wraps(evaluate)
    def evaluate_streams(self, size: int) -> dict:
        if hasattr(self, 'of_streams'):
            return self.of_streams.evaluate(size)
        return evaluate(self, size)

    ConfusionMatrix.process = process_streams
    ConfusionMatrix.evaluate = evaluate_streams
