# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Mean average precision of classes, of which a video may have several."""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...messages import format_share, text_table
from .online_detection import average_precision


class MultiLabelReport(NamedTuple):
    """Average precision of C classes, float64 (C, ), NaN without videos.

    ``ap`` is over all videos, of which ``num_empty`` have no class,
    ``ap_labelled`` over those that have one; ``num_positives`` are the videos
    of each class.
    """
    ap: np.ndarray
    ap_labelled: np.ndarray
    num_positives: np.ndarray
    num_videos: int
    num_empty: int
    names: tuple[str, ...]

    def metrics(self) -> dict[str, float]:
        """``mAP``, ``mAP_labelled`` (0 to 1) and ``classes``, their number."""
        counts = self.num_positives > 0
        return {'mAP': float(self.ap[counts].mean()),
                'mAP_labelled': float(self.ap_labelled[counts].mean()),
                'classes': int(counts.sum())}

    def table(self) -> str:
        """A line of text for every class that occurs, the means, a legend."""
        means = self.metrics()
        rows = [('', 'class', 'videos', 'AP', 'AP labelled')]
        rows += [(i, name, num, format_share(a), format_share(b))
                 for i, (name, num, a, b) in enumerate(zip(
                     self.names, self.num_positives, self.ap,
                     self.ap_labelled)) if num]
        rows.append(('', f"mean of {means['classes']}", self.num_videos,
                     format_share(means['mAP']),
                     format_share(means['mAP_labelled'])))
        return text_table(rows, left=(1, )) + (
            f'\nAP: average precision over all {self.num_videos} videos, such '
            'without any class being negatives; AP labelled: over the '
            f'{self.num_videos - self.num_empty} that have a class')


def evaluate_multi_label(
        scores: np.ndarray, labels: np.ndarray,
        names: Sequence[str] | None = None) -> MultiLabelReport:
    """Compute the average precision of each class over videos.

    AP is the sum over thresholds of precision times the gain in recall, so
    that ties do not depend on the order of videos; MMAction2 and scikit-learn
    define it so. Classes that no video has are left out of means.

    Videos without any class, of which Charades has some, are negatives of all
    classes in ``ap``, which PySlowFast reports. ``ap_labelled`` is computed
    without them, as the scripts that come with Charades do in effect.

    Args:
        scores (np.ndarray): Finite, of shape (V, C).
        labels (np.ndarray): Zeros and ones, of shape (V, C).
        names (Sequence[str], optional): Names of the C classes. Defaults to
            None: without.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if not labels.any():
        raise ValueError(
            f'None of the {len(labels)} videos has a class, so there is no '
            'average precision. Check the annotation file of the evaluation '
            'data.')
    labelled = labels.any(1)
    return MultiLabelReport(
        _class_ap(scores, labels),
        _class_ap(scores[labelled], labels[labelled]),
        labels.astype(bool).sum(0), len(labels), int((~labelled).sum()),
        tuple(names or [''] * scores.shape[1]))


def _class_ap(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.array([average_precision(own, shown > 0)
                     for own, shown in zip(scores.T, labels.T)])
