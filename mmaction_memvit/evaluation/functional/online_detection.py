# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Average precision over frames, as online action detection measures it.

The frames of all videos are ranked by their score of a class, and precision
is averaged over the frames that show it (De Geest et al., Online Action
Detection, ECCV 2016). Precision at a frame is that of all frames which score
as much or more::

    AP:   TP / (TP + FP)
    cAP:  TP / (TP + FP / w),   w = negatives / positives of the class

so that frames of equal score share a precision and their order plays no role:
for AP this is scikit-learn's definition; for cAP, public evaluations leave it
to the sorting which of them comes first. Where all scores differ, there is
one definition only.

By stage, positives are a tenth of each action, as far as it has been shown
then, against all frames without the class. Stages are cut as LSTR's evaluation
cuts them (Xu et al., NeurIPS 2021): an action of n consecutive frames is n - 1
long, and shorter ones give at least a frame to every stage. Unlike there, an
action ends with its video.
"""
from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ...messages import format_share, text_table

NUM_STAGES = 10
# Of a table.
_MOST_ROWS = 100


class OnlineDetectionReport(NamedTuple):
    """Average precisions of C classes, float64, NaN where there is none.

    ``ap`` and ``cap`` (C, ) are over all frames, ``by_stage`` (10, C) is of
    ``calibrated`` ones, or not. ``num_positives`` (C, ) frames show each
    class; ``num_left_out`` frames did not count.
    """
    ap: np.ndarray
    cap: np.ndarray
    by_stage: np.ndarray
    calibrated: bool
    num_positives: np.ndarray
    num_frames: int
    num_left_out: int
    names: tuple[str, ...]

    def metrics(self) -> dict[str, float]:
        """``mAP`` and ``mcAP``, the one that counts first, and by stage.

        All are from 0 to 1; ``mAP_stage1`` (or ``mcAP_stage1``) is of the
        first tenth of actions. ``classes`` are as many as occur.
        """
        means = {'mAP': _mean(self.ap), 'mcAP': _mean(self.cap)}
        name = 'mcAP' if self.calibrated else 'mAP'
        return {
            name: means.pop(name), **means,
            **{f'{name}_stage{k}': _mean(ap)
               for k, ap in enumerate(self.by_stage, 1)},
            # A float: MMEngine's log of tests has no whole numbers.
            'classes': float((~np.isnan(self.ap)).sum())}

    def table(self) -> str:
        """A line of text for every class that occurs, the means, stages.

        Of more than 100 classes only the most frequent have a line.
        """
        occur = np.flatnonzero(~np.isnan(self.ap))
        order = np.argsort(-self.num_positives[occur], kind='stable')
        rows = [('', 'class', 'frames', 'AP', 'cAP')]
        rows += [(i, self.names[i], self.num_positives[i],
                  format_share(self.ap[i]), format_share(self.cap[i]))
                 for i in np.sort(occur[order[:_MOST_ROWS]])]
        rows.append(('', f'mean of {len(occur)}', self.num_frames,
                     format_share(_mean(self.ap)),
                     format_share(_mean(self.cap))))
        stages = [[f'{10 * k}-{10 * k + 10}%' for k in range(NUM_STAGES)],
                  [format_share(_mean(ap)) for ap in self.by_stage]]
        name = 'mcAP' if self.calibrated else 'mAP'
        return (f'{text_table(rows, left=(1, ))}\n{name} by stage of the '
                f'action:\n{text_table(stages, left=())}')


def evaluate_online_detection(
        scores: np.ndarray, labels: np.ndarray,
        lengths: Sequence[int] | None = None,
        names: Sequence[str] | None = None, left_out: Collection[int] = (0, ),
        ambiguous: int | None = None,
        calibrated: bool = False) -> OnlineDetectionReport:
    """Compute the average precision of each class over frames.

    Frames that have no label at all are not annotated and left out, as are
    those with the ``ambiguous`` class. Classes that no frame shows are left
    out of means.

    Args:
        scores (np.ndarray): Of shape (F, C), in order of time; not NaN.
        labels (np.ndarray): Of shape (F, C), above 0 for the classes of a
            frame, of which it may have several.
        lengths (Sequence[int], optional): Frames of each video, F together.
            Defaults to None: all are of one video.
        names (Sequence[str], optional): Names of the C classes. Defaults to
            None: without.
        left_out (Collection[int]): Classes that are not measured. Defaults to
            (0, ): the background.
        ambiguous (int, optional): Class whose frames do not count; it is not
            measured either. Defaults to None.
        calibrated (bool): Whether ``mcAP`` comes first and by stage, as of
            TVSeries, or ``mAP``. Defaults to False.

    Raises:
        ValueError: If shapes do not fit, scores are NaN, or no frame shows a
            class.
    """
    scores, labels = np.asarray(scores), np.asarray(labels) > 0
    lengths = [len(scores)] if lengths is None else lengths
    if (scores.ndim != 2 or scores.shape != labels.shape
            or sum(lengths) != len(scores)):
        raise ValueError(
            f'scores of shape {scores.shape}, labels of shape {labels.shape} '
            f'and lengths of {sum(lengths)} frames must be (F, C), (F, C) '
            'and F')
    broken = np.isnan(scores).any(1)
    if broken.any():
        raise ValueError(
            f'{int(broken.sum())} of {len(scores)} frames have scores that '
            f'are NaN, the first is number {int(broken.argmax())}. They '
            'cannot be ranked: look for the step that made them')
    keep = labels.any(1)
    if ambiguous is not None:
        keep &= ~labels[:, ambiguous]
    video = np.repeat(np.arange(len(lengths)), lengths)[keep]
    if not keep.all():
        scores, labels = scores[keep], labels[keep]
    unmeasured = {*left_out, ambiguous}
    classes = [i for i in np.flatnonzero(labels.any(0)) if i not in unmeasured]
    if not classes:
        raise ValueError(
            f'None of the {len(keep)} frames shows an action, so there is no '
            'average precision. Check the labels of the evaluation data')
    ap, cap = np.full((2, scores.shape[1]), np.nan)
    by_stage = np.full((NUM_STAGES, scores.shape[1]), np.nan)
    for i in classes:
        own, shown = scores[:, i], labels[:, i]
        others = np.sort(own[~shown])
        found = np.sort(own[shown])
        ap[i] = _average(found, others, False)
        cap[i] = _average(found, others, True)
        for stage, frames in enumerate(stage_frames(shown, video)):
            by_stage[stage, i] = _average(
                np.sort(own[frames]), others, calibrated)
    return OnlineDetectionReport(
        ap, cap, by_stage, calibrated, labels.sum(0), len(scores),
        int((~keep).sum()), tuple(names or [''] * scores.shape[1]))


def stage_frames(shown: np.ndarray, video: np.ndarray) -> Iterator[np.ndarray]:
    """Numbers of the frames of each stage, of all actions of a class.

    ``shown`` are bools (F, ), ``video`` (F, ) tells the video of each frame.
    """
    edge = np.flatnonzero(np.diff(video)) + 1
    before, after = np.r_[False, shown[:-1]], np.r_[shown[1:], False]
    before[edge] = False
    after[edge - 1] = False
    starts = np.flatnonzero(shown & ~before)
    spans = np.flatnonzero(shown & ~after) - starts
    for k in range(NUM_STAGES):
        first = starts + spans * k // NUM_STAGES
        stop = starts + spans * (k + 1) // NUM_STAGES
        count = np.maximum(stop - first, 1)
        yield np.repeat(first - np.cumsum(count) + count, count) + np.arange(
            count.sum())


def average_precision(scores: np.ndarray, shown: np.ndarray,
                      calibrated: bool = False) -> float:
    """AP or cAP of scores (F, ) of which bools (F, ) tell the right ones.

    It is NaN if none is right.
    """
    scores, shown = np.asarray(scores), np.asarray(shown, bool)
    return _average(np.sort(scores[shown]), np.sort(scores[~shown]),
                    calibrated)


def _average(found: np.ndarray, others: np.ndarray, calibrated: bool) -> float:
    """Mean precision at positives, of ascending scores of both kinds."""
    if not len(found):
        return np.nan
    right = len(found) - np.searchsorted(found, found)
    wrong = len(others) - np.searchsorted(others, found)
    # 1 / w; without negatives there is nothing to weigh.
    weight = len(found) / max(len(others), 1) if calibrated else 1.
    return float(np.mean(right / (right + wrong * weight)))


def _mean(ap: np.ndarray) -> float:
    """Mean over the classes that occur."""
    return float(ap[~np.isnan(ap)].mean())
