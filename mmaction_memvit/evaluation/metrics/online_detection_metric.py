# Copyright (c) mmaction_memvit contributors. All rights reserved.
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmaction.registry import METRICS

from ...annotations.class_names import read_class_names
from ...annotations.online_detection import BENCHMARKS
from ...messages import check_choice
from ..functional import evaluate_online_detection
from ..keyed import KeyedMetric, to_numpy


@METRICS.register_module()
class OnlineDetectionMetric(KeyedMetric):
    """Average precision over frames, of online action detection.

    Samples are clips of streams, with ``pred_score`` and ``gt_label`` for each
    of their T frames (or features, or temporal tokens): scores (T,
    num_classes), or (num_classes, ) of one; labels (T, num_classes), above 0
    for the classes of a frame, or ints (T, ). Frames without any class, or of
    class -1, are not annotated and left out. Where samples tell
    ``token_times``, start and end of frames in seconds (T, 2), clips that
    overlap are an error. Of several tasks, as :class:`MultiTaskHead` gives
    them, scores are a dict and labels (T, sum of num_classes), in the same
    order; names of measures begin with the task, as in ``verb_mAP``.

    Measures are ``mAP`` and calibrated ``mcAP`` of all frames, and of one of
    them ``mAP_stage1`` to ``mAP_stage10``, by tenths of the actions; see
    :mod:`mmaction_memvit.evaluation.functional.online_detection`. Dumps of
    ``tools/test.py --dump`` are measured by MMAction2's tool ``eval_metric``:
    ``python -m mmaction_memvit eval_metric CONFIG DUMP``.

    Args:
        benchmark (str, optional): 'thumos14' (mAP without ambiguous frames),
            'tvseries' (mcAP) or 'epic100' (mAP): gives the next four, where
            these are not given. Defaults to None.
        background (int, optional): Class that is not measured. Defaults to
            None: 0 with a benchmark, else there is none.
        ambiguous (int, optional): Class whose frames do not count. Defaults
            to None: there is none.
        calibrated (bool, optional): Whether mcAP is the measure that comes
            first, and by stage; to keep the best checkpoint by it give
            ``save_best='frame/mcAP', rule='greater'``. Defaults to None: no.
        class_names (str | Sequence[str], optional): Names for the table, or a
            file with one on each line. Defaults to None: numbers only.
        **kwargs: Arguments of :class:`KeyedMetric`; the prefix is 'frame'.
    """

    default_prefix = 'frame'
    unit = 'clips'
    needs_all = True

    def __init__(self, benchmark: str | None = None,
                 background: int | None = None, ambiguous: int | None = None,
                 calibrated: bool | None = None,
                 class_names: str | Sequence[str] | None = None,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if benchmark is not None:
            check_choice('benchmark', benchmark, tuple(BENCHMARKS))
            own = BENCHMARKS[benchmark]
            background = 0 if background is None else background
            ambiguous = own.ambiguous if ambiguous is None else ambiguous
            calibrated = own.calibrated if calibrated is None else calibrated
            class_names = class_names or own.names
        if isinstance(class_names, str):
            class_names = read_class_names(class_names)
        self.background = background
        self.ambiguous = ambiguous
        self.calibrated = bool(calibrated)
        self.class_names = tuple(class_names or ())

    def result_of(self, sample: dict) -> tuple[tuple, dict]:
        """Scores and labels by task, '' if there is one, of a clip."""
        key = (self.field(sample, 'video_id'),
               int(self.field(sample, 'timestamp')))
        scores = self.field(sample, 'pred_score')
        if not isinstance(scores, Mapping):
            scores = {'': scores}
        scores = {task: np.atleast_2d(to_numpy(x))
                  for task, x in scores.items()}
        labels = self.field(sample, 'gt_label')
        sizes = [x.shape[-1] for x in scores.values()]
        shape = tuple(labels.shape)
        num = len(next(iter(scores.values())))
        if shape == (num, ) and not labels.is_floating_point() and len(
                sizes) == 1 and labels.max() < sizes[0]:
            # None for -1.
            labels = labels[:, None] == torch.arange(
                sizes[0], device=labels.device)
        if labels.shape[-1] != sum(sizes) or labels.numel() != num * sum(
                sizes) or any(x.ndim > 2 or len(x) != num
                              for x in scores.values()):
            shapes = {task: x.shape for task, x in scores.items()}
            raise ValueError(
                f'`gt_label` of {key} has shape {shape}, but `pred_score` '
                f'{shapes}. Labels must be ints, one a frame below '
                'num_classes, or (frames, num_classes). Remedy: num_classes '
                'of the head must be those of the targets')
        if self.class_names and sizes != [len(self.class_names)]:
            raise ValueError(f'There are {len(self.class_names)} class names, '
                             f'but scores of {sizes} classes. Remedy: correct '
                             'num_classes of the head, benchmark or '
                             'class_names')
        columns = (labels > 0).cpu().numpy().reshape(num, -1)
        ends = np.cumsum(sizes)[:-1]
        times = to_numpy(sample.get('token_times', np.zeros((0, 2))))
        return key, {'times': times[~np.isnan(times).any(1), 0],
                     'scores': scores,
                     'labels': dict(zip(scores, np.split(columns, ends, 1)))}

    def measure(self, found: dict[tuple, dict]) -> dict[str, float]:
        """``mAP``, ``mcAP``, those by stage and ``classes``."""
        lengths = self._count_frames(found)
        measures = {}
        for task in next(iter(found.values()))['scores']:
            scores, labels = (
                np.concatenate([clip[name][task] for clip in found.values()])
                for name in ('scores', 'labels'))
            self._check_finite(found, task)
            report = evaluate_online_detection(
                scores, labels, list(lengths.values()), self.class_names,
                () if self.background is None else (self.background, ),
                self.ambiguous, self.calibrated)
            self.log(
                f'{task} {report.num_frames} frames of {len(lengths)} videos;'
                f' {report.num_left_out} more are not annotated, or '
                f'ambiguous:\n{report.table()}'.lstrip())
            measures.update({f'{task}_{name}' if task else name: value
                             for name, value in report.metrics().items()})
        return measures

    @staticmethod
    def _count_frames(found: dict[tuple, dict]) -> dict[str, int]:
        """Frames of each video, none of which may come twice."""
        lengths: dict[str, int] = {}
        seen: dict[str, float] = {}
        for (video, position), clip in found.items():
            num = len(next(iter(clip['labels'].values())))
            lengths[video] = lengths.get(video, 0) + num
            if len(clip['times']):
                if clip['times'][0] <= seen.get(video, -1.):
                    raise ValueError(
                        f'Clip {position} of {video!r} scores what an earlier '
                        'one has scored, but every frame must count once. '
                        'Remedy: clip_stride=None in the test data')
                seen[video] = clip['times'][-1]
        return lengths

    def _check_finite(self, found: dict[tuple, dict], task: str) -> None:
        bad = [key for key, clip in found.items()
               if np.isnan(clip['scores'][task]).any()]
        if bad:
            raise ValueError(
                f'{len(bad)} of {len(found)} clips have scores that are NaN, '
                f'which cannot be ranked: {self.name_keys(bad)}. Remedy: look '
                'at the features or pictures of these, or test in float32')
