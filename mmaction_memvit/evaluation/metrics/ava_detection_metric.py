# Copyright (c) mmaction_memvit contributors. All rights reserved.
from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmaction_memvit.annotations.ava import (
    ActionBoxes,
    read_action_boxes,
    read_exclusions,
    write_results_csv,
)
from mmaction_memvit.annotations.ava_rows import image_key
from mmaction_memvit.annotations.label_map import read_label_map

from ..functional import AVA_CONVENTIONS, evaluate_ava, find_problems


@METRICS.register_module()
class AVADetectionMetric(BaseMetric):
    """Frame mAP of spatio-temporal action detection, as in AVA.

    It takes the arguments of MMAction2's ``AVAMetric``, and in the convention
    'mmaction2' reports the same mAP, without its 32 processes and its file.
    The official convention is reported beside it; see
    :mod:`mmaction_memvit.evaluation.functional.ava_map` for what the two
    count. The log gets a table of all classes.

    Every keyframe must come exactly once, as it does with
    ``StreamBatchSampler``, or ``DefaultSampler(shuffle=False)`` with
    ``round_up=False`` or on one process. Which process or batch scored a
    keyframe makes no difference. Keyframes with ground truth that were not
    scored are worth a warning, and their boxes count as missed.

    Args:
        ann_file (str): CSV file of the ground truth, with 7 or 8 columns
            ``video,timestamp,x1,y1,x2,y2,action_id[,person_id]``.
        exclude_file (str, optional): CSV file of ``video,timestamp`` that do
            not count. Defaults to None.
        label_file (str, optional): Label map in AVA's .pbtxt form. Only the
            classes it lists are evaluated. Defaults to None: all ids from 1
            to ``num_classes - 1``, without names.
        options (Sequence[str]): As in ``AVAMetric``; it can only be
            ``('mAP', )``, the default.
        action_thr (float): Scores must be higher to count as a detection. If
            negative, only the best class of each box does. Defaults to
            0.002.
        num_classes (int): Columns of the scores; column 0 is not used, the
            others are ids of classes. Defaults to 81.
        custom_classes (Sequence[int], optional): Ids of the classes that
            columns 1, 2, ... stand for; only these are evaluated. Defaults to
            None.
        convention (str): 'mmaction2' or 'official': what ``overall`` and the
            groups of classes are computed by. Both are reported as
            ``overall_mmaction2`` and ``overall_official`` anyway. Defaults to
            'mmaction2'.
        iou_thr (float): Overlap from which on a box is found. Defaults to
            0.5.
        results_file (str, optional): Where to write the detections for the
            official evaluator, as CSV
            ``video,timestamp,x1,y1,x2,y2,action_id,score``. An evaluation
            replaces the file of the one before. Defaults to None.
        bad_rows (str): What to do with rows of ``ann_file`` that cannot be
            read or whose box is none: 'error', or 'skip' to leave them out
            with a warning that counts them. Defaults to 'error'.
        collect_device (str): 'cpu' or 'gpu', where results of several
            processes are collected. Defaults to 'cpu'.
        prefix (str, optional): Goes before the names of the measures. None
            means 'mAP'. Defaults to None.

    Raises:
        ValueError: If an argument is out of its range, a file cannot be
            understood or does not match the others, a sample lacks something,
            a keyframe came twice, or no scored keyframe has ground truth.
    """

    default_prefix = 'mAP'

    def __init__(self,
                 ann_file: str,
                 exclude_file: str | None = None,
                 label_file: str | None = None,
                 options: Sequence[str] = ('mAP', ),
                 action_thr: float = 0.002,
                 num_classes: int = 81,
                 custom_classes: Sequence[int] | None = None,
                 convention: str = 'mmaction2',
                 iou_thr: float = 0.5,
                 results_file: str | None = None,
                 bad_rows: str = 'error',
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if tuple(options) != ('mAP', ):
            raise ValueError(f"options can only be ('mAP', ), not {options}.")
        if convention not in AVA_CONVENTIONS:
            raise ValueError('convention must be one of '
                             f'{list(AVA_CONVENTIONS)}, but is '
                             f'{convention!r}.')
        if not 0 < iou_thr <= 1:
            raise ValueError('iou_thr must be above 0 and at most 1, but is '
                             f'{iou_thr}.')
        if not isinstance(action_thr, (int, float)) or action_thr >= 1:
            raise ValueError('action_thr must be a number below 1, but is '
                             f'{action_thr}.')
        self.ann_file = ann_file
        self.label_file = label_file
        self.action_thr = action_thr
        self.num_classes = num_classes
        self.convention = convention
        self.iou_thr = iou_thr
        self.results_file = results_file
        self._expected = None

        self.names = read_label_map(
            label_file) if label_file else dict.fromkeys(
                range(1, num_classes), '')
        top = num_classes if custom_classes is None else (
            max(self.names) + 1 if label_file else None)
        self.class_ids = self._choose_classes(custom_classes)
        # What is wrong here should not come out after the first epoch.
        self.truth = read_action_boxes(
            ann_file, num_classes=top, bad_rows=bad_rows)
        self.excluded = read_exclusions(exclude_file) if exclude_file else ()
        self._check_truth()

    def _choose_classes(self, custom: Sequence[int] | None) -> np.ndarray:
        """The id that each column of the scores stands for, with a 0."""
        if custom is None:
            last = max(self.names, default=0)
            if last >= self.num_classes:
                raise ValueError(
                    f'{self.label_file} has ids up to {last}, but with '
                    f'num_classes={self.num_classes} they end at '
                    f'{self.num_classes - 1}. num_classes must be the highest '
                    'id plus 1, as column 0 of the scores is not used.')
            return np.arange(self.num_classes)
        custom = list(custom)
        unknown = sorted(set(custom) - set(self.names))
        if unknown and self.label_file:
            raise ValueError(f'custom_classes has the ids {unknown}, which '
                             f'{self.label_file} does not list.')
        if len(set(custom)) < len(custom) or min(custom, default=0) < 1:
            raise ValueError('custom_classes must be different ids of at '
                             f'least 1, but is {custom}.')
        if self.num_classes != len(custom) + 1:
            raise ValueError(
                f'num_classes={self.num_classes} must be '
                f'{len(custom) + 1}: the {len(custom)} custom_classes and '
                'column 0 of the scores, which is not used.')
        self.names = {i: self.names.get(i, '') for i in custom}
        return np.array([0, *custom])

    def _check_truth(self) -> None:
        """Compare the ground truth with the classes."""
        present = set(np.unique(self.truth.labels).tolist())
        where = self.label_file or f'num_classes={self.num_classes}'
        if not present & set(self.names):
            raise ValueError(
                f'{self.ann_file} has the class ids {sorted(present)[:10]}, '
                f'and none of them is a class of {where}. The two must '
                'belong together.')
        others = sorted(present - set(self.names))
        if others:
            num = int(np.isin(self.truth.labels, others).sum())
            print_log(
                f'{num} of {len(self.truth.labels)} rows of {self.ann_file} '
                f'are of {len(others)} classes that are not evaluated.',
                logger='current')

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Store one result per keyframe, those without a box included.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): Scored keyframes, with
                ``video_id``, ``timestamp`` and ``pred_instances`` with
                ``bboxes`` (P, 4), as shares of the image, and ``scores``
                (P, num_classes).
        """
        for sample in data_samples:
            for key in ('video_id', 'timestamp', 'pred_instances'):
                if sample.get(key) is None:
                    raise ValueError(
                        f'AVADetectionMetric got a sample without `{key}`. '
                        + ('It needs a detector, which gives '
                           '`pred_instances`. ' if key == 'pred_instances'
                           else f"Keep '{key}' in the meta_keys of "
                           'PackActionInputs and use a data set whose '
                           'samples have it, such as OnlineAVADataset. ') +
                        f'The sample has {sorted(sample)}.')
            name = image_key(sample['video_id'], int(sample['timestamp']))
            boxes, scores = (
                self._to_numpy(sample['pred_instances'], key, name)
                for key in ('bboxes', 'scores'))
            if boxes.shape != (len(scores), 4) or scores.shape[1:] != (
                    self.num_classes, ):
                raise ValueError(
                    f'pred_instances of {name} must have bboxes (P, 4) and '
                    f'scores (P, {self.num_classes}), but has '
                    f'{boxes.shape} and {scores.shape}. num_classes of '
                    'metric and head must be the same.')
            if len(boxes) and not np.abs(boxes).max() <= 2:
                raise ValueError(
                    f'pred_instances.bboxes of {name} must be shares of the '
                    "image's width and height, from 0 to 1, but go from "
                    f'{boxes.min()} to {boxes.max()}. Divide pixels by the '
                    'size of the image.')
            self.results.append({
                'video_id': sample['video_id'],
                'timestamp': int(sample['timestamp']),
                'bboxes': boxes,
                'scores': scores
            })

    @staticmethod
    def _to_numpy(instances: Any, key: str, name: str) -> np.ndarray:
        """One field of the instances as float32."""
        value = instances.get(key)
        if not isinstance(value, torch.Tensor):
            raise ValueError(f'pred_instances of {name} must have `{key}` as '
                             f'a tensor, but has {type(value).__name__}.')
        # A view would keep the scores of the whole batch alive.
        return np.array(value.detach().float().cpu().numpy())

    def evaluate(self, size: int) -> dict:
        """Collect the keyframes of all processes and compute the measures.

        Args:
            size (int): Number of keyframes in the data set. Fewer results are
                worth a warning in the log.

        Returns:
            dict: Measures by name with prefix, e.g. ``mAP/overall``, on every
            process.
        """
        self._expected = size
        return super().evaluate(size)

    def compute_metrics(self, results: list[dict]) -> dict:
        """Compute the frame mAP.

        Args:
            results (list[dict]): The keyframes of all processes, as stored
                by :meth:`process`, in any order.

        Returns:
            dict: ``overall``, ``overall_mmaction2``, ``overall_official``
            and, with AVA's classes, ``person_movement``,
            ``object_manipulation`` and ``person_interaction``.
        """
        if self._expected is not None and len(results) < self._expected:
            self._warn(f'{len(results)} keyframes were scored, but the data '
                       f'set has {self._expected}.')
        found = self._tabulate(results)
        if self.results_file is not None:
            write_results_csv(self.results_file, found)
            print_log(
                f'{len(found.labels)} detections on {len(found.keys)} '
                f'keyframes are written to {self.results_file}.',
                logger='current')
        for message in find_problems(self.truth, found, self.excluded):
            self._warn(message)
        if not len(found.labels):
            self._warn('No box has a score above '
                       f'action_thr={self.action_thr}: nothing was detected.')
        report = evaluate_ava(self.truth, found, self.names, None,
                              self.excluded, self.iou_thr)
        print_log(
            f'Average precision of {len(found.keys)} keyframes at IoU '
            f'{self.iou_thr}, in both conventions:\n{report.table()}',
            logger='current')
        return report.metrics(self.convention)

    def _tabulate(self, results: list[dict]) -> ActionBoxes:
        """Put detections in rows, sorted by keyframe, box and class."""
        results = sorted(
            results, key=lambda x: (x['video_id'], x['timestamp']))
        keys = [(x['video_id'], x['timestamp']) for x in results]
        for key, following in zip(keys, keys[1:]):
            if key == following:
                raise ValueError(
                    f'The keyframe at timestamp {key[1]} of video {key[0]!r} '
                    'was scored twice. Every keyframe must be evaluated '
                    'exactly once: use batch_sampler=dict(type='
                    "'StreamBatchSampler') with sampler=dict(type="
                    "'DefaultSampler', shuffle=False), or without streams "
                    "dict(type='DefaultSampler', shuffle=False, "
                    'round_up=False).')
        boxes = [np.zeros((0, 4), np.float32), *(x['bboxes'] for x in results)]
        scores = [np.zeros((0, self.num_classes), np.float32),
                  *(x['scores'] for x in results)]
        images = np.repeat(np.arange(len(results)),
                           [len(x['bboxes']) for x in results])
        boxes, scores = np.concatenate(boxes), np.concatenate(scores)
        scores[:, 0] = -np.inf
        broken = ~np.isfinite(scores[:, 1:]).all(1)
        if broken.any():
            self._warn(
                f'{int(broken.sum())} of {len(scores)} boxes have scores '
                'that are not finite, the first one on keyframe '
                f"'{image_key(*keys[images[broken.argmax()]])}'. These "
                'scores are left out.')
            scores[~np.isfinite(scores)] = -np.inf
        if self.action_thr < 0:
            # Column 0 where no score is finite.
            wanted = np.arange(
                self.num_classes) == scores.argmax(1)[:, None]
        else:
            wanted = scores > self.action_thr
        # A label map may leave ids out.
        wanted &= np.isin(self.class_ids, list(self.names))
        box, column = np.nonzero(wanted)
        return ActionBoxes(keys, images[box], boxes[box],
                           self.class_ids[column], scores[box, column])

    @staticmethod
    def _warn(message: str) -> None:
        print_log(message, logger='current', level=logging.WARNING)
