# Copyright (c) mmaction_memvit contributors. All rights reserved.
from __future__ import annotations

import os.path as osp
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from mmaction.registry import METRICS

from ...annotations.epic_lists import EpicActions
from ...messages import check_choice, first_names
from ..functional.epic import (
    TASKS,
    average_scores,
    marginal_scores,
    token_distance,
    tokens_within,
)
from ..keyed import KeyedMetric, is_probability, to_numpy
from ..submissions.epic_dump import check_dump_name, write_epic_dump
from ..submissions.epic_truth import EpicTruth, format_epic_table


@METRICS.register_module()
class EpicRecognitionMetric(KeyedMetric):
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
      segment gets the average of all tokens whose centre lies within it, of
      whatever clips; one without any, the token whose centre is nearest to
      its middle, if that is at most ``max_distance`` away. Tokens with NaN as
      time or without length are padding.

    Scores are ``pred_score``, a dict with ``'verb'``, ``'noun'`` and
    ``'action'`` as far as the model has them, or ``pred_verb``, ``pred_noun``
    and ``pred_action``; a tensor, as stock heads give it, belongs to ``task``.
    Actions without scores get them from verbs and nouns, these theirs by
    summing up probabilities of actions. See ``evaluate_epic_recognition`` for
    measures and ties. Labels come from ``ann_file``, not from the samples.

    Args:
        ann_file (str): List of segments, see :class:`EpicTruth`, also for the
            next eight arguments.
        tail_verbs (str, optional): ``EPIC_100_tail_verbs.csv``. Defaults to
            None: tail classes are not measured.
        tail_nouns (str, optional): ``EPIC_100_tail_nouns.csv``. Defaults to
            None.
        unseen_participants (str, optional):
            ``EPIC_100_unseen_participant_ids_validation.csv``. Defaults to
            None: unseen participants are not measured.
        actions (str | Sequence[str], optional): ``actions.csv``, or the lists
            of training and validation segments; needed for scores of actions.
            Defaults to None: those of the data set.
        num_verbs (int): Number of verb classes. Defaults to 97.
        num_nouns (int): Number of noun classes. Defaults to 300.
        data_root (str): Folder that relative paths start from. Defaults to ''.
        ann_options (dict, optional): Further options of
            ``read_epic_segments``; must be those of the data set. Defaults to
            None.
        online (bool): See above. Defaults to False.
        task (str, optional): What a ``pred_score`` that is a tensor scores:
            'verb', 'noun' or 'action'. Defaults to None: by its number of
            classes.
        average (str): What is averaged. 'prob': probabilities; scores go
            through a softmax first unless they are probabilities already, that
            is, from 0 to 1 with sum 1. 'score': logits as they come. Defaults
            to 'prob'.
        max_distance (float): Seconds from a segment to the nearest token that
            still counts as its own. Defaults to 1.
        missing (str): What to do about segments that were not scored: 'error',
            'miss' (they count as missed) or 'leave_out'. Defaults to 'error'.
        dump_file (str, optional): File for the scores of all segments,
            ``.npz`` or ``.pkl``, for tools/analysis_tools/eval_epic_dump.py.
            Defaults to None.
        **kwargs: Arguments of :class:`KeyedMetric`; the prefix is 'epic'.
    """

    default_prefix = 'epic'
    challenge = 'action_recognition'

    def __init__(self, ann_file: str, tail_verbs: str | None = None,
                 tail_nouns: str | None = None,
                 unseen_participants: str | None = None,
                 actions: str | Sequence[str] | None = None,
                 num_verbs: int = 97, num_nouns: int = 300,
                 data_root: str = '', ann_options: dict | None = None,
                 online: bool = False, task: str | None = None,
                 average: str = 'prob', max_distance: float = 1.,
                 missing: str = 'error', dump_file: str | None = None,
                 **kwargs: Any) -> None:
        check_choice('average', average, ('prob', 'score'))
        check_choice('missing', missing, ('error', 'miss', 'leave_out'))
        if task is not None:
            check_choice('task', task, TASKS)
        if dump_file is not None:
            check_dump_name(dump_file)
        super().__init__(**kwargs)
        self.truth = EpicTruth(ann_file, tail_verbs, tail_nouns,
                               unseen_participants, actions, num_verbs,
                               num_nouns, data_root, ann_options)
        self.online = online
        self.task = task
        self.average = average
        self.max_distance = max_distance
        self.missing = missing
        self.dump_file = dump_file

    @KeyedMetric.dataset_meta.setter
    def dataset_meta(self, meta: Mapping | None) -> None:
        """What the data set tells; its actions become the metric's."""
        self._dataset_meta = meta
        if (meta or {}).get('action_pairs') is not None:
            self.truth.take_actions(EpicActions(meta['action_pairs']))

    # -- what differs in anticipation ---------------------------------------

    def used_rows(self, array: np.ndarray) -> np.ndarray:
        """Rows of a segment's scores that are averaged."""
        return array

    def is_needed(self, times: np.ndarray, starts: np.ndarray,
                  stops: np.ndarray) -> np.ndarray:
        """Which tokens of a clip may be needed for segments, bools."""
        distance = token_distance(times, starts, stops)
        return (distance <= self.max_distance).any(1)

    def tokens_of(self, times: np.ndarray, start: float,
                  stop: float) -> np.ndarray:
        """Numbers of the tokens whose scores are a segment's."""
        return tokens_within(times, start, stop, self.max_distance)

    def nothing_to_observe(self, rows: list[int],
                           found: dict[tuple, dict]) -> list[int]:
        """Rows that need not be scored."""
        return []

    # -- samples ------------------------------------------------------------

    def check_dump(self) -> None:
        """Segments may be missing where ``missing`` says so."""
        if self.missing == 'error':
            super().check_dump()

    def result_of(self, sample: dict) -> tuple[tuple, dict]:
        """Scores of a segment, or of the tokens of a clip of a whole video."""
        scores = self._scores_of(sample)
        if self.online:
            return self._clip_result(sample, scores)
        if not sample.get('narration_id'):
            sample = {**sample, 'narration_id': sample.get('segment_id')}
        name = self.field(sample, 'narration_id', 'If samples are clips of '
                          'whole videos, set online=True. ')
        return (str(name), int(sample.get('timestamp') or 0)), {
            'scores': {task: self.used_rows(array)
                       for task, array in scores.items()}}

    def _scores_of(self, sample: dict) -> dict[str, np.ndarray]:
        """Scores by task, of shape (rows, num_classes)."""
        pred = sample.get('pred_score')
        if pred is None:
            pred = {task: sample[f'pred_{task}'] for task in TASKS
                    if sample.get(f'pred_{task}') is not None}
        elif not isinstance(pred, Mapping):
            pred = to_numpy(pred)
            pred = {self._task_of(pred.shape[-1] if pred.ndim else 0): pred}
        scores = {}
        for task in filter(pred.__contains__, TASKS):
            array = to_numpy(pred[task])
            size = self.truth.num_classes.get(task)
            if size is None:
                raise ValueError(
                    'The verb and noun of each action is not known. Remedy: '
                    'set `actions` of the data set to actions.csv or to the '
                    'lists of training and validation segments.')
            if array.ndim not in (1, 2) or array.shape[-1] != size:
                raise ValueError(
                    f'Scores of {task} have shape {array.shape}, but must be '
                    f'({size}, ) or (tokens or views, {size}). Correct the '
                    'number of classes of head or metric.')
            scores[task] = array.reshape(-1, size)
        if not scores:
            raise ValueError(
                f'{type(self).__name__} needs `pred_score`, a tensor or a '
                "dict with 'verb', 'noun' or 'action', or `pred_verb`, "
                f'`pred_noun`, `pred_action`, but got {sorted(sample)}.')
        return scores

    def _task_of(self, size: int) -> str:
        """Which task a `pred_score` that is no dict belongs to."""
        fitting = [task for task, num in self.truth.num_classes.items()
                   if num == size]
        if self.task is None and len(fitting) != 1:
            raise ValueError(
                f'`pred_score` has {size} classes, but there are '
                f"{self.truth.num_classes}. Set `task` to 'verb', 'noun' or "
                "'action', for these `actions` too, or let the head give a "
                'dict with these keys.')
        return self.task or fitting[0]

    def _clip_result(self, sample: dict, scores: dict) -> tuple[tuple, dict]:
        hint = 'If samples are single segments, set online=False. '
        name, position, times = (
            self.field(sample, key, hint)
            for key in ('video_id', 'timestamp', 'token_times'))
        times = np.asarray(to_numpy(times), np.float64)
        for task, array in scores.items():
            if times.shape != (len(array), 2):
                raise ValueError(
                    f'`token_times` has shape {times.shape}, but {task} '
                    f'scores are of {len(array)} tokens; it must be start and '
                    f'end of each in seconds, ({len(array)}, 2).')
        video = self._video_of(str(name))
        real = np.isfinite(times).all(1) & (times[:, 1] > times[:, 0])
        keep = np.flatnonzero(real)
        first = times[keep].min(0, initial=np.inf)
        # Tokens far from all segments need not be kept and collected.
        table = self.truth.segments
        rows = table.rows_of(video)
        keep = keep[self.is_needed(times[keep], table.starts[rows],
                                   table.stops[rows])]
        return (video, int(position)), {
            'first': tuple(first.tolist()), 'times': times[keep],
            'scores': {task: array[keep] for task, array in scores.items()}}

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

    def measure(self, found: dict[tuple, dict]) -> dict[str, float]:
        """Measures; ``num_segments`` alone where segments have no labels."""
        tasks = sorted({tuple(r['scores']) for r in found.values()})
        if len(tasks) != 1:
            raise ValueError('Samples must be scored for the same tasks, but '
                             f'{len(found)} samples are for {tasks}.')
        groups = (self._group_clips if self.online else
                  self._group_segments)(found)
        rows = self._check_segments(found, groups)
        scores = self._average(groups, tasks[0])
        scores = {task: array[rows] for task, array in scores.items()}
        if list(scores) == ['action']:
            sizes = self.truth.num_classes
            verb, noun = marginal_scores(
                scores['action'], self.truth.actions.pairs, sizes['verb'],
                sizes['noun'])
            scores = {'verb': verb, 'noun': noun, **scores}
        table = self.truth.segments
        if self.dump_file is not None:
            write_epic_dump(
                self.dump_file, [table.narration_ids[row] for row in rows],
                scores, self.truth.actions)
            self.log(f'scores of {len(rows)} segments are in {self.dump_file}')
        measures = self.truth.measure(self.challenge, scores, rows)
        if not measures:
            self.warn(f'{table.source} has no labels, so nothing is '
                      f'measured; {len(rows)} segments were scored')
            return {'num_segments': float(len(rows))}
        unseen = self.truth.unseen
        self.log(f'{len(rows)} segments of {table.source}, in per cent\n'
                 f'{format_epic_table(measures)}'
                 + '\nunseen: no segment is of a participant of the list'
                 * (unseen is not None and not unseen[rows].any()))
        return measures

    def _group_segments(self, found: dict[tuple, dict]
                        ) -> dict[int, dict[str, np.ndarray]]:
        """Scores by row of the table, in the order of their time."""
        table = self.truth.segments
        strange = sorted({name for name, _ in found} - set(table.rows_by_id))
        if strange:
            raise ValueError(
                f'{len(strange)} scored segments are not in {table.source}: '
                f'{first_names(strange, 5)}. The data set and the metric must '
                'use the same list.')
        groups = defaultdict(list)
        for (name, _), result in found.items():
            groups[table.rows_by_id[name]].append(result['scores'])
        return {row: _stacked(parts) for row, parts in groups.items()}

    def _group_clips(self, found: dict[tuple, dict]
                     ) -> dict[int, dict[str, np.ndarray]]:
        """Scores of the tokens that belong to each row of the table."""
        videos = defaultdict(list)
        for (video, _), clip in found.items():
            videos[video].append(clip)
        table = self.truth.segments
        groups = {}
        for video, clips in videos.items():
            times = np.concatenate([clip['times'] for clip in clips])
            scores = _stacked([clip['scores'] for clip in clips])
            for row in table.rows_of(video) if len(times) else ():
                tokens = self.tokens_of(times, table.starts[row],
                                        table.stops[row])
                if len(tokens):
                    groups[int(row)] = {task: array[tokens]
                                        for task, array in scores.items()}
        return groups

    def _average(self, groups: dict[int, dict[str, np.ndarray]],
                 tasks: tuple[str, ...]) -> dict[str, np.ndarray]:
        """One row of scores a segment, NaN without any."""
        num = len(self.truth.segments)
        scores = {task: np.full((num, self.truth.num_classes[task]), np.nan)
                  for task in tasks}
        broken = set()
        for row, group in groups.items():
            for task, rows in group.items():
                finite = rows[np.isfinite(rows).all(1)]
                if len(finite) < len(rows):
                    broken.add(row)
                if len(finite):
                    scores[task][row] = average_scores(
                        finite, self.average, is_probability(finite))
        if broken:
            self.warn(
                f'{len(broken)} segments have scores that are not finite. '
                'They are left out of the averages; a segment with no other '
                f'counts as missed: {self._segments(broken)}')
        return scores

    def _check_segments(self, found: dict[tuple, dict],
                        groups: dict[int, Any]) -> np.ndarray:
        """Rows of the table to measure."""
        table = self.truth.segments
        absent = [row for row in range(len(table)) if row not in groups]
        excused = set(self.nothing_to_observe(absent, found))
        if excused:
            self.log(f'{len(excused)} segments start before anything could be '
                     'observed. They count as missed: '
                     f'{self._segments(excused)}')
        absent = sorted(set(absent) - excused)
        if absent:
            text = (f'{len(absent)} of {len(table)} segments of '
                    f'{table.source} were not scored: '
                    f'{self._segments(absent)}.')
            if self.missing == 'error':
                hint = (
                    f'No token of their video is within {self.max_distance:g} '
                    's of what is needed; data must cover all annotated parts,'
                    " with last_clip='pad' also the end."
                    if self.online else 'Data set and metric must use the '
                    'same list, and evaluation must cover all of it.')
                raise ValueError(f"{text} {hint} Or set missing='miss' (they "
                                 "count as missed) or missing='leave_out'.")
            self.warn(text + (' They count as missed' if self.missing == 'miss'
                              else ' They are left out'))
        left_out = set(absent) if self.missing == 'leave_out' else set()
        return np.asarray(sorted(set(range(len(table))) - left_out), int)

    def _segments(self, rows: Iterable[int]) -> str:
        return first_names([self.truth.segments.narration_ids[row]
                            for row in sorted(rows)], 5)


def _stacked(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {task: np.concatenate([part[task] for part in parts])
            for task in parts[0]}
