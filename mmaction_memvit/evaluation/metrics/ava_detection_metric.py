# Copyright (c) mmaction_memvit contributors. All rights reserved.
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmaction.registry import METRICS

from ...annotations.ava import (
    ActionBoxes,
    image_key,
    read_action_boxes,
    read_exclusions,
    write_results_csv,
)
from ...annotations.class_names import choose_classes
from ...messages import check_choice
from ..functional import AVA_CONVENTIONS, evaluate_ava, find_problems
from ..keyed import KeyedMetric, to_numpy


@METRICS.register_module()
class AVADetectionMetric(KeyedMetric):
    """Frame mAP of spatio-temporal action detection, as in AVA.

    It takes the arguments of MMAction2's ``AVAMetric``, and in the convention
    'mmaction2' reports the same mAP, but for the order of detections whose
    scores are equal when rounded to 4 decimals. The official convention is
    reported beside it; see
    :mod:`mmaction_memvit.evaluation.functional.ava_map`. Keyframes with ground
    truth that were not scored are worth a warning, and their boxes count as
    missed.

    Args:
        ann_file (str): CSV file of the ground truth; this, the next two,
            ``num_classes``, ``custom_classes`` and ``bad_rows`` are as in
            :class:`OnlineAVADataset`.
        exclude_file (str, optional): Keyframes that do not count.
        label_file (str, optional): Only the classes it lists are evaluated.
        action_thr (float): Scores must be higher to count as a detection. If
            negative, only the best class of each box does. Defaults to 0.002.
        num_classes (int): Columns of the scores. Defaults to 81.
        custom_classes (Sequence[int], optional): Only these are evaluated.
        convention (str): 'mmaction2' or 'official': what ``overall`` and the
            groups of classes are computed by, beside ``overall_mmaction2`` and
            ``overall_official``. Defaults to 'mmaction2'.
        iou_thr (float): Overlap from which on a box is found. Defaults to 0.5.
        results_file (str, optional): Where to write the detections for the
            official evaluator, as CSV
            ``video,timestamp,x1,y1,x2,y2,action_id,score``; the file of the
            evaluation before is replaced. Defaults to None.
        bad_rows (str): 'error' or 'skip'. Defaults to 'error'.
        **kwargs: Arguments of :class:`KeyedMetric`; the prefix is 'mAP'.
    """

    default_prefix = 'mAP'
    #: Names of all measures, a regular expression.
    measures = ('overall|overall_mmaction2|overall_official|person_movement|'
                'object_manipulation|person_interaction')
    unit = 'keyframes'

    def __init__(self, ann_file: str, exclude_file: str | None = None,
                 label_file: str | None = None, action_thr: float = 0.002,
                 num_classes: int = 81,
                 custom_classes: Sequence[int] | None = None,
                 convention: str = 'mmaction2', iou_thr: float = 0.5,
                 results_file: str | None = None, bad_rows: str = 'error',
                 **kwargs: Any) -> None:
        # AVAMetric's; the only choice.
        for option in kwargs.pop('options', ()):
            check_choice('options', option, ('mAP', ))
        super().__init__(**kwargs)
        check_choice('convention', convention, AVA_CONVENTIONS)
        self.action_thr = action_thr
        self.num_classes = num_classes
        self.convention = convention
        self.iou_thr = iou_thr
        self.results_file = results_file

        chosen = choose_classes(num_classes, custom_classes, label_file)
        self.names, self.class_ids = chosen.names, chosen.ids
        # What is wrong here should not come out after the first epoch.
        self.truth = read_action_boxes(
            ann_file, num_classes=chosen.num_in_file, bad_rows=bad_rows)
        self.excluded = read_exclusions(exclude_file) if exclude_file else ()
        chosen.check(self.truth.labels, ann_file,
                     label_file or f'num_classes={num_classes}')

    def result_of(self, sample: dict) -> tuple[tuple, dict]:
        """Boxes and scores of a keyframe, which may have none."""
        key = (self.field(sample, 'video_id'),
               int(self.field(sample, 'timestamp')))
        name = image_key(*key)
        instances = self.field(sample, 'pred_instances', 'It needs a detector,'
                               ' which gives `pred_instances`. ')
        kept = {x: to_numpy(instances[x]) for x in ('bboxes', 'scores')}
        boxes, scores = kept['bboxes'], kept['scores']
        if boxes.shape != (len(scores), 4) or scores.shape[1:] != (
                self.num_classes, ):
            raise ValueError(
                f'pred_instances of {name} must have bboxes (P, 4) and scores '
                f'(P, {self.num_classes}), but has {boxes.shape} and '
                f'{scores.shape}. num_classes must be that of the head.')
        if len(boxes) and not np.abs(boxes).max() <= 2:
            raise ValueError(
                f'pred_instances.bboxes of {name} must be shares of the '
                f'image, from 0 to 1, but go from {boxes.min()} to '
                f'{boxes.max()}. Divide pixels by the size of the image.')
        return key, kept

    def measure(self, found: dict[tuple, dict]) -> dict[str, float]:
        """``overall`` of all conventions, and groups of AVA's classes."""
        boxes = self._tabulate(found)
        if self.results_file is not None:
            write_results_csv(self.results_file, boxes)
            self.log(f'{len(boxes.labels)} detections on {len(boxes.keys)} '
                     f'keyframes are written to {self.results_file}')
        for message in find_problems(self.truth, boxes, self.excluded):
            self.warn(message.rstrip('.'))
        if not len(boxes.labels):
            self.warn('no box has a score above '
                      f'action_thr={self.action_thr}: nothing was detected')
        report = evaluate_ava(self.truth, boxes, self.names, None,
                              self.excluded, self.iou_thr)
        self.log(
            f'Average precision of {len(boxes.keys)} keyframes at IoU '
            f'{self.iou_thr}, in both conventions:\n{report.table()}')
        return report.metrics(self.convention)

    def _tabulate(self, found: dict[tuple, dict]) -> ActionBoxes:
        """Puts detections in rows, sorted by keyframe, box and class."""
        keys, results = list(found), list(found.values())
        boxes, scores = (
            np.concatenate([np.zeros((0, width), np.float32),
                            *(x[name] for x in results)])
            for name, width in (('bboxes', 4), ('scores', self.num_classes)))
        images = np.repeat(np.arange(len(results)),
                           [len(x['bboxes']) for x in results])
        scores[:, 0] = -np.inf
        broken = ~np.isfinite(scores[:, 1:]).all(1)
        if broken.any():
            first = image_key(*keys[images[broken.argmax()]])
            self.warn(f'{int(broken.sum())} of {len(scores)} boxes have '
                      'scores that are not finite, the first one on keyframe '
                      f"'{first}'. These scores are left out")
            scores[~np.isfinite(scores)] = -np.inf
        if self.action_thr < 0:
            # Column 0 where no score is finite.
            wanted = np.arange(self.num_classes) == scores.argmax(1)[:, None]
        else:
            wanted = scores > self.action_thr
        # A label map may leave ids out.
        wanted &= np.isin(self.class_ids, list(self.names))
        box, column = np.nonzero(wanted)
        return ActionBoxes(keys, images[box], boxes[box],
                           self.class_ids[column], scores[box, column])
