# Copyright (c) mmaction_memvit contributors. All rights reserved.
from __future__ import annotations

import logging
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ..epic_dump import check_dump_name, write_epic_dump
from ..epic_truth import EpicTruth, format_epic_table
from ..functional.epic_recognition import (
    TASKS,
    log_probabilities,
    log_softmax,
    marginal_scores,
)

# Times closer than this are the same: rounding must not decide.
_SAME_TIME = 1e-6
_SHOWN = 5


class _EpicMetric(BaseMetric):
    """What both metrics have in common: from samples to scored segments."""

    default_prefix = 'epic'
    challenge = ''

    def __init__(self,
                 ann_file: str,
                 tail_verbs: str | None = None,
                 tail_nouns: str | None = None,
                 unseen_participants: str | None = None,
                 actions: str | Sequence[str] | None = None,
                 num_verbs: int = 97,
                 num_nouns: int = 300,
                 data_root: str = '',
                 ann_options: dict | None = None,
                 online: bool = False,
                 task: str | None = None,
                 average: str = 'prob',
                 max_distance: float = 1.,
                 missing: str = 'error',
                 dump_file: str | None = None,
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        for name, value, choices in (('task', task, (None, *TASKS)),
                                     ('average', average, ('prob', 'score')),
                                     ('missing', missing,
                                      ('error', 'miss', 'leave_out'))):
            if value not in choices:
                raise ValueError(
                    f'{name}={value!r} must be one of {choices}.')
        if not max_distance >= 0:
            raise ValueError(
                f'max_distance={max_distance} must be at least 0 seconds.')
        if dump_file is not None:
            check_dump_name(dump_file)
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.truth = EpicTruth(ann_file, tail_verbs, tail_nouns,
                               unseen_participants, actions, num_verbs,
                               num_nouns, data_root, ann_options)
        self.online = online
        self.task = task
        self.average = average
        self.max_distance = max_distance
        self.missing = missing
        self.dump_file = dump_file
        self._expected = None

    # -- samples ------------------------------------------------------------

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Store one result per sample.

        ``BaseMetric.evaluate`` cuts the results of all processes at the
        length of the data set; with one result per sample it cuts none.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): Scored samples.
        """
        for sample in data_samples:
            scores = self._scores_of(sample)
            if self.online:
                self.results.append(self._clip_result(sample, scores))
            else:
                self.results.append(self._segment_result(sample, scores))

    def _scores_of(self, sample: dict) -> dict[str, np.ndarray]:
        """Scores by task, of shape (rows, num_classes)."""
        pred = sample.get('pred_score')
        if isinstance(pred, Mapping):
            found = {task: pred[task] for task in TASKS if task in pred}
        elif pred is not None:
            pred = _to_numpy(pred)
            found = {self._task_of(pred.shape[-1] if pred.ndim else 0): pred}
        else:
            found = {task: sample[f'pred_{task}'] for task in TASKS
                     if sample.get(f'pred_{task}') is not None}
        if not found:
            raise ValueError(
                f'{type(self).__name__} got a sample without scores. It '
                "needs `pred_score`, a tensor or a dict with 'verb', 'noun' "
                "or 'action', or `pred_verb`, `pred_noun`, `pred_action`. "
                f'The sample has {sorted(sample)}.')
        scores = {}
        for task, value in found.items():
            array = _to_numpy(value)
            size = self.truth.num_classes.get(task)
            if size is None:
                raise ValueError(
                    'The model scores actions, but the metric does not know '
                    'which verb and noun each of them is. Remedy: set '
                    '`actions` to actions.csv or to the lists of training '
                    'and validation segments.')
            if array.ndim not in (1, 2) or array.shape[-1] != size:
                raise ValueError(
                    f'Scores of {task} have shape {array.shape}, but there '
                    f'are {size} classes; it must be ({size}, ) or (number '
                    f'of tokens or views, {size}). Correct the head or '
                    'the number of classes of the metric.')
            scores[task] = array.reshape(-1, size)
        return scores

    def _task_of(self, size: int) -> str:
        """Which task a `pred_score` that is no dict belongs to."""
        if self.task is not None:
            return self.task
        fitting = [task for task, num in self.truth.num_classes.items()
                   if num == size]
        if len(fitting) != 1:
            raise ValueError(
                f'`pred_score` has {size} classes, but there are '
                f'{self.truth.num_classes}, so it is not clear what it '
                "scores. Set `task` to 'verb', 'noun' or 'action', or let "
                "the head give a dict with these keys. If it scores actions, "
                '`actions` must be set, too.')
        return fitting[0]

    def _segment_result(self, sample: dict, scores: dict) -> dict:
        name = sample.get('narration_id') or sample.get('segment_id')
        if not name:
            raise ValueError(
                f'{type(self).__name__} got a sample without `narration_id`, '
                'so it cannot tell which segment was scored. Keep '
                "'narration_id' in the meta_keys of PackActionInputs. If "
                'samples are clips of whole videos, set online=True. The '
                f'sample has {sorted(sample)}.')
        return {
            'narration_id': str(name),
            'timestamp': int(sample.get('timestamp') or 0),
            'scores': {task: self._used_rows(array)
                       for task, array in scores.items()},
        }

    def _used_rows(self, array: np.ndarray) -> np.ndarray:
        """Rows of a segment's scores that are averaged."""
        return array

    def _clip_result(self, sample: dict, scores: dict) -> dict:
        for key in ('video_id', 'timestamp', 'token_times'):
            if sample.get(key) is None:
                raise ValueError(
                    f'{type(self).__name__} got a clip without `{key}`, so '
                    'it cannot tell which part of which video was scored. '
                    f"Keep '{key}' in the meta_keys of PackActionInputs. If "
                    'samples are single segments, set online=False. The '
                    f'sample has {sorted(sample)}.')
        times = np.asarray(_to_numpy(sample['token_times']), np.float64)
        for task, array in scores.items():
            if times.shape != (len(array), 2):
                raise ValueError(
                    f'`token_times` has shape {times.shape}, but {task} '
                    f'scores are of {len(array)} tokens; it must be '
                    f'({len(array)}, 2): start and end of every token in '
                    'seconds.')
        video = self._video_of(str(sample['video_id']))
        real = np.isfinite(times).all(1) & (times[:, 1] > times[:, 0])
        keep = np.flatnonzero(real)
        ends = times[keep, 1]
        first = (float(times[keep, 0].min()), float(ends.min())) if len(
            keep) else (np.inf, np.inf)
        # Tokens far from all segments need not be kept and collected.
        keep = keep[self._is_needed(times[keep], self.truth.segments, video)]
        return {
            'video_id': video,
            'timestamp': int(sample['timestamp']),
            'first': first,
            'times': times[keep],
            'scores': {task: array[keep] for task, array in scores.items()},
        }

    def _video_of(self, name: str) -> str:
        """The table's id of a video; the name itself if it has none.

        The path of the video and its name are the same video. An id may hold
        dots, so nothing is cut off that the table knows.
        """
        base = osp.basename(name)
        for video in (name, base, osp.splitext(base)[0]):
            if video in self.truth.segments.rows_by_video:
                return video
        return name

    # -- segments -----------------------------------------------------------

    def evaluate(self, size: int) -> dict:
        """Collect the results of all processes and compute the measures.

        Args:
            size (int): Number of samples in the data set. Fewer results are
                worth a warning in the log.

        Returns:
            dict: Measures by name with prefix, on every process.
        """
        self._expected = size
        return super().evaluate(size)

    def compute_metrics(self, results: list[dict]) -> dict:
        """Put the scores of every segment together and measure them.

        Args:
            results (list[dict]): Results of all processes, as stored by
                :meth:`process`, in any order.

        Returns:
            dict: Measures by name; ``num_segments`` alone where the segments
            have no labels.
        """
        if self._expected is not None and len(results) < self._expected:
            self._warn(f'{len(results)} samples were scored, but the data '
                       f'set has {self._expected}.')
        tasks = self._common_tasks(results)
        groups = (self._group_clips if self.online else
                  self._group_segments)(results)
        table = self.truth.segments
        scores = {task: np.full((len(table), self.truth.num_classes[task]),
                                np.nan) for task in tasks}
        broken = []
        for row in sorted(groups):
            for task in tasks:
                rows = np.concatenate([part[task] for part in groups[row]])
                finite = np.isfinite(rows).all(1)
                if not finite.all():
                    broken.append(row)
                if finite.any():
                    scores[task][row] = self._combine(rows[finite])
        if broken:
            self._warn(
                f'{len(set(broken))} segments have scores that are not '
                'finite. They are left out of the averages; a segment with '
                f'no other counts as missed: {self._names(broken)}.')
        rows = self._check_complete(results, groups)
        scores = self._complete_tasks({t: a[rows] for t, a in scores.items()})
        if self.dump_file is not None:
            write_epic_dump(self.dump_file,
                            [table.narration_ids[row] for row in rows], scores)
            print_log(
                f'{type(self).__name__}: scores of {len(rows)} segments are '
                f'in {self.dump_file}',
                logger='current')
        measures = self.truth.measure(self.challenge, scores, rows)
        if not measures:
            self._warn(f'{table.source} has no labels, so nothing is '
                       f'measured; {len(rows)} segments were scored.')
            return {'num_segments': float(len(rows))}
        print_log(
            f'{type(self).__name__}: {len(rows)} segments of '
            f'{table.source}, in per cent\n{format_epic_table(measures)}',
            logger='current')
        return measures

    @staticmethod
    def _common_tasks(results: list[dict]) -> list[str]:
        if not results:
            raise ValueError('No sample was scored; is the data set empty?')
        found = {tuple(t for t in TASKS if t in r['scores']) for r in results}
        if len(found) > 1:
            raise ValueError('Samples are scored for different tasks: '
                             f'{sorted(found)}.')
        return list(found.pop())

    def _group_segments(self, results: list[dict]) -> dict[int, list[dict]]:
        """Scores by row of the table, in the order of their time."""
        groups: dict[int, dict] = {}
        strange, twice = set(), set()
        for result in results:
            name = result['narration_id']
            row = self.truth.segments.rows_by_id.get(name)
            if row is None:
                strange.add(name)
                continue
            clips = groups.setdefault(row, {})
            if result['timestamp'] in clips:
                twice.add(name)
            clips[result['timestamp']] = result['scores']
        if strange:
            raise ValueError(
                f'{len(strange)} scored segments are not in '
                f'{self.truth.segments.source}: {_some(sorted(strange))}. '
                'The data set and the metric must use the same list.')
        if twice:
            raise ValueError(
                f'{len(twice)} segments were scored twice: '
                f'{_some(sorted(twice))}. Every segment must be evaluated '
                "once: use sampler=dict(type='DefaultSampler', "
                'shuffle=False, round_up=False). Several clips of a segment '
                "need different 'timestamp's.")
        return {row: [clips[time] for time in sorted(clips)]
                for row, clips in groups.items()}

    def _group_clips(self, results: list[dict]) -> dict[int, list[dict]]:
        """Scores of the tokens that belong to each row of the table."""
        videos: dict[str, dict] = {}
        for result in results:
            clips = videos.setdefault(result['video_id'], {})
            if result['timestamp'] in clips:
                raise ValueError(
                    f'The clip at timestamp {result["timestamp"]} of video '
                    f'{result["video_id"]!r} was scored twice. Every clip '
                    'must be evaluated exactly once: use batch_sampler='
                    "dict(type='StreamBatchSampler') with sampler=dict("
                    "type='DefaultSampler', shuffle=False).")
            clips[result['timestamp']] = result
        table = self.truth.segments
        groups = {}
        for video, clips in videos.items():
            rows = table.rows_of(video)
            ordered = [clips[time] for time in sorted(clips)]
            times = np.concatenate([clip['times'] for clip in ordered])
            if not len(rows) or not len(times):
                continue
            scores = {
                task: np.concatenate([c['scores'][task] for c in ordered])
                for task in ordered[0]['scores']
            }
            for row in rows:
                tokens = self._tokens_of(times, table.starts[row],
                                         table.stops[row])
                if len(tokens):
                    groups[int(row)] = [{task: array[tokens]
                                         for task, array in scores.items()}]
        return groups

    def _check_complete(self, results: list[dict],
                        groups: dict[int, list[dict]]) -> np.ndarray:
        """Rows of the table to measure."""
        table = self.truth.segments
        absent = [row for row in range(len(table)) if row not in groups]
        excused = set(self._nothing_to_observe(absent, results))
        if excused:
            print_log(
                f'{type(self).__name__}: {len(excused)} segments start '
                'before anything could be observed. They count as missed: '
                f'{self._names(excused)}.',
                logger='current')
        absent = [row for row in absent if row not in excused]
        if absent:
            text = (f'{len(absent)} of {len(table)} segments of '
                    f'{table.source} were not scored: {self._names(absent)}.')
            if self.missing == 'error':
                raise ValueError(
                    f'{text} {self._missing_hint()} To measure all the same, '
                    "set missing='miss' (they count as missed) or "
                    "missing='leave_out'.")
            how = ('count as missed' if self.missing == 'miss' else
                   'are left out')
            self._warn(f'{text} They {how}.')
        left_out = set(absent) if self.missing == 'leave_out' else set()
        return np.asarray(
            [row for row in range(len(table)) if row not in left_out], int)

    def _missing_hint(self) -> str:
        if self.online:
            return (f'No token of their video is within {self.max_distance:g} '
                    's of what is needed; the data set must cover all '
                    "annotated parts, with last_clip='pad' also the end.")
        return ('The data set and the metric must use the same list, and '
                'evaluation must cover all of it.')

    def _combine(self, rows: np.ndarray) -> np.ndarray:
        """Average of several scores of one segment, as logits, float64."""
        rows = rows.astype(np.float64)
        if self.average == 'score':
            return np.sum(rows, axis=0) / len(rows)
        # Probabilities in half precision miss a sum of 1 by some thousandths.
        is_probs = rows.min() >= 0 and np.abs(rows.sum(1) - 1).max() < 0.02
        if len(rows) == 1 and not is_probs:
            # As it is: a softmax could only round.
            return rows[0]
        logs = log_probabilities(rows) if is_probs else log_softmax(rows)
        top = logs.max(0)
        return top + np.log(np.sum(np.exp(logs - top), axis=0) / len(rows))

    def _complete_tasks(self, scores: dict) -> dict:
        """Verbs and nouns of a model that scores actions only."""
        if 'action' not in scores or len(scores) > 1:
            return scores
        sizes = self.truth.num_classes
        verb, noun = marginal_scores(scores['action'],
                                     self.truth.actions.pairs, sizes['verb'],
                                     sizes['noun'])
        return {'verb': verb, 'noun': noun, **scores}

    def _names(self, rows: Sequence[int]) -> str:
        return _some([self.truth.segments.narration_ids[row]
                      for row in sorted(set(rows))])

    def _warn(self, text: str) -> None:
        print_log(
            f'{type(self).__name__}: {text}',
            logger='current',
            level=logging.WARNING)

    # -- what differs -------------------------------------------------------

    def _is_needed(self, times: np.ndarray, table: Any,
                   video: str) -> np.ndarray:
        """Which tokens of a clip may be needed, bools."""
        raise NotImplementedError

    def _tokens_of(self, times: np.ndarray, start: float,
                   stop: float) -> np.ndarray:
        """Indices of the tokens whose scores are a segment's."""
        raise NotImplementedError

    def _nothing_to_observe(self, rows: list[int],
                            results: list[dict]) -> list[int]:
        """Rows that need not be scored."""
        return []


@METRICS.register_module()
class EpicRecognitionMetric(_EpicMetric):
    """Action recognition on EPIC-KITCHENS-100, as the challenge measures it.

    Two kinds of samples can be evaluated:

    - Segments (``online=False``): a sample is an annotated segment, or one
      of several clips of it, with ``narration_id`` (or ``segment_id``) and,
      if it is one of several, a ``timestamp``. Scores have shape
      (num_classes, ) or (number of views, num_classes); all of a segment are
      averaged.
    - Clips of whole videos (``online=True``): a sample has ``video_id``,
      ``timestamp`` and ``token_times``, start and end in seconds of every
      temporal token, shape (T, 2). Scores have shape (T, num_classes). A
      segment gets the average of all tokens whose centre lies within it,
      both ends included, whichever clips they are of. A segment that holds
      no centre, because it is shorter than a token or at the end of a video,
      gets the token whose centre is nearest to its middle (of equal ones the
      earlier), if that is at most ``max_distance`` away. Tokens with NaN as
      time or without length are padding and not used.

    Scores are ``pred_score``, a dict with ``'verb'``, ``'noun'`` and
    ``'action'`` as far as the model has them, or ``pred_verb``, ``pred_noun``
    and ``pred_action``. A ``pred_score`` that is a tensor, as stock heads
    give it, belongs to ``task``. A model without scores of actions gets them
    from verbs and nouns, one with nothing else gets verbs and nouns by
    summing up probabilities of actions. See ``evaluate_epic_recognition`` for
    the measures and for ties.

    Labels come from ``ann_file``, not from the samples. Which process or
    batch scored a sample makes no difference.

    Args:
        ann_file (str): List of segments, see :class:`EpicTruth`.
        tail_verbs (str, optional): ``EPIC_100_tail_verbs.csv``. Defaults to
            None: tail classes are not measured.
        tail_nouns (str, optional): ``EPIC_100_tail_nouns.csv``. Defaults to
            None.
        unseen_participants (str, optional):
            ``EPIC_100_unseen_participant_ids_validation.csv``. Defaults to
            None: unseen participants are not measured.
        actions (str | Sequence[str], optional): ``actions.csv``, or the
            lists of training and validation segments; needed for scores of
            actions. Defaults to None.
        num_verbs (int): Number of verb classes. Defaults to 97.
        num_nouns (int): Number of noun classes. Defaults to 300.
        data_root (str): Folder that relative paths start from. Defaults to
            ''.
        ann_options (dict, optional): Further options of
            ``read_epic_segments``; must be those of the data set. Defaults to
            None.
        online (bool): See above. Defaults to False.
        task (str, optional): What a ``pred_score`` that is a tensor scores:
            'verb', 'noun' or 'action'. None: by its number of classes.
            Defaults to None.
        average (str): What is averaged. 'prob': probabilities; scores go
            through a softmax first unless they are probabilities already,
            that is, from 0 to 1 with sum 1. 'score': logits as they come.
            Defaults to 'prob'.
        max_distance (float): Seconds from a segment to the nearest token
            that still counts as its own. Defaults to 1.
        missing (str): What to do about segments that were not scored:
            'error', 'miss' (they count as missed) or 'leave_out'. Defaults
            to 'error'.
        dump_file (str, optional): File for the scores of all segments,
            ``.npz`` or ``.pkl``, for tools/analysis_tools/eval_epic_dump.py.
            Defaults to None.
        collect_device (str): 'cpu' or 'gpu', where results of several
            processes are collected. Defaults to 'cpu'.
        prefix (str, optional): Goes before the names of the measures. None
            means 'epic'. Defaults to None.

    Raises:
        ValueError: If an argument is out of its range, a sample lacks what is
            needed, scores do not fit the number of classes, or segments are
            missing, unknown or scored twice.
    """

    challenge = 'action_recognition'

    def _is_needed(self, times: np.ndarray, table: Any,
                   video: str) -> np.ndarray:
        rows = table.rows_of(video)
        distance = _distance(times, table.starts[rows], table.stops[rows])
        return (distance <= self.max_distance).any(1)

    def _tokens_of(self, times: np.ndarray, start: float,
                   stop: float) -> np.ndarray:
        centres = times.mean(1)
        inside = np.flatnonzero((centres >= start - _SAME_TIME)
                                & (centres <= stop + _SAME_TIME))
        if len(inside):
            return inside
        distance = _distance(times, start, stop)[:, 0]
        near = np.flatnonzero(distance <= self.max_distance)
        if not len(near):
            return near
        off = np.abs(centres[near] - (start + stop) / 2)
        equal = near[off <= off.min() + _SAME_TIME]
        return equal[np.argmin(centres[equal])][None]


@METRICS.register_module()
class EpicAnticipationMetric(_EpicMetric):
    """Action anticipation on EPIC-KITCHENS-100, as the challenge measures it.

    Two kinds of samples can be evaluated:

    - Segments (``online=False``): a sample is the clip that ends ``tau_a``
      seconds before a segment, with the segment's ``narration_id`` (or
      ``segment_id``). Scores have shape (num_classes, ), or (T, num_classes)
      by temporal token; of those the last is used, or with
      ``tokens='mean'`` their average.
    - Clips of whole videos (``online=True``): a sample has ``video_id``,
      ``timestamp`` and ``token_times``, start and end in seconds of every
      temporal token, shape (T, 2), and scores of shape (T, num_classes). A
      token's scores say what happens ``tau_a`` after its end. A segment gets
      the last token that ends at ``start - tau_a`` or before, at most
      ``max_distance`` before. Where clips overlap and tokens end at the same
      time, it is the one of the earlier clip, which has seen most.

    Segments before which nothing can be observed are missed and count: those
    that start at ``tau_a`` or before, and in whole videos those before whose
    ``start - tau_a`` no token ends. They have NaN in the dump. With
    ``missing='leave_out'`` those of videos of which nothing was scored are
    left out instead, like all other segments of such videos.

    Measures are class-mean top-5 recalls, see ``evaluate_epic_anticipation``.

    Args:
        ann_file (str): List of segments, see :class:`EpicTruth`.
        tau_a (float): Seconds from the last observation to the segment.
            Defaults to 1.
        tokens (str): 'last' or 'mean', see above. Defaults to 'last'.
        **kwargs: All further arguments of :class:`EpicRecognitionMetric`.

    Raises:
        ValueError: As for :class:`EpicRecognitionMetric`.
    """

    challenge = 'action_anticipation'

    def __init__(self,
                 ann_file: str,
                 tau_a: float = 1.,
                 tokens: str = 'last',
                 **kwargs: Any) -> None:
        if not 0 <= tau_a < np.inf:
            raise ValueError(f'tau_a={tau_a} must be at least 0 seconds.')
        if tokens not in ('last', 'mean'):
            raise ValueError(f"tokens={tokens!r} must be 'last' or 'mean'.")
        super().__init__(ann_file, **kwargs)
        self.tau_a = tau_a
        self.tokens = tokens

    def _used_rows(self, array: np.ndarray) -> np.ndarray:
        return array[-1:] if self.tokens == 'last' else array

    def _is_needed(self, times: np.ndarray, table: Any,
                   video: str) -> np.ndarray:
        targets = table.starts[table.rows_of(video)] - self.tau_a
        age = targets - times[:, 1:]
        return ((age >= -_SAME_TIME) & (age <= self.max_distance)).any(1)

    def _tokens_of(self, times: np.ndarray, start: float,
                   stop: float) -> np.ndarray:
        age = start - self.tau_a - times[:, 1]
        past = np.flatnonzero((age >= -_SAME_TIME)
                              & (age <= self.max_distance))
        if not len(past):
            return past
        # Tokens stand in the order of clips, argmax takes the first.
        return past[np.argmax(age[past] <= age[past].min() + _SAME_TIME)][None]

    def _nothing_to_observe(self, rows: list[int],
                            results: list[dict]) -> list[int]:
        first: dict[str, tuple[float, float]] = {}
        if self.online:
            for result in results:
                video = result['video_id']
                first[video] = tuple(
                    map(min, first.get(video, (np.inf, np.inf)),
                        result['first']))
        table = self.truth.segments
        seen = None
        if self.missing == 'leave_out':
            # Of a part of the videos: the others are not there, whether or
            # not something could have been observed in them.
            seen = {
                result['video_id'] if self.online else
                table.video_ids[table.rows_by_id[result['narration_id']]]
                for result in results
            }
        excused = []
        for row in rows:
            if seen is not None and table.video_ids[row] not in seen:
                continue
            target = table.starts[row] - self.tau_a
            begin, end = first.get(table.video_ids[row], (np.inf, np.inf))
            # If the video's first clips are there, no token can end before
            # its first one does.
            if target <= _SAME_TIME or (begin <= self.max_distance
                                        and target < end):
                excused.append(row)
        return excused


def _distance(times: np.ndarray, starts: Any, stops: Any) -> np.ndarray:
    """Seconds between tokens and segments, 0 where they touch.

    Args:
        times (np.ndarray): Start and end of T tokens, (T, 2).
        starts (np.ndarray | float): Starts of S segments.
        stops (np.ndarray | float): Stops of S segments.

    Returns:
        np.ndarray: Shape (T, S).
    """
    starts, stops = np.atleast_1d(starts), np.atleast_1d(stops)
    return np.maximum(
        0, np.maximum(times[:, :1] - stops, starts - times[:, 1:]))


def _to_numpy(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        # numpy has no bfloat16.
        value = (value if value.dtype == torch.float64 else
                 value.float()).numpy()
    return np.asarray(value)


def _some(names: Sequence[str]) -> str:
    shown = ', '.join(names[:_SHOWN])
    rest = len(names) - _SHOWN
    return f'{shown} and {rest} more' if rest > 0 else shown
