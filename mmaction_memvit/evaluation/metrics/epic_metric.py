# Copyright (c) mmaction_memvit contributors. All rights reserved.
from __future__ import annotations

from typing import Any

import numpy as np
from mmaction.registry import METRICS

from ...messages import check_choice
from ..functional.epic_tokens import (
    SAME_TIME,
    last_token_before,
    token_distance,
    tokens_within,
)
from .epic_segment_metric import EpicSegmentMetric


@METRICS.register_module()
class EpicRecognitionMetric(EpicSegmentMetric):
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
    and ``pred_action``. A ``pred_score`` that is a tensor, as stock heads give
    it, belongs to ``task``. A model without scores of actions gets them from
    verbs and nouns, one with nothing else gets verbs and nouns by summing up
    probabilities of actions. See ``evaluate_epic_recognition`` for the
    measures and for ties.

    Labels come from ``ann_file``, not from the samples.

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
            Defaults to None.
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

    Raises:
        ValueError: If an argument is out of its range, a sample lacks what is
            needed, scores do not fit the number of classes, or segments are
            missing, unknown or scored twice.
    """

    challenge = 'action_recognition'

    def is_needed(self, times: np.ndarray, starts: np.ndarray,
                  stops: np.ndarray) -> np.ndarray:
        distance = token_distance(times, starts, stops)
        return (distance <= self.max_distance).any(1)

    def tokens_of(self, times: np.ndarray, start: float,
                  stop: float) -> np.ndarray:
        return tokens_within(times, start, stop, self.max_distance)


@METRICS.register_module()
class EpicAnticipationMetric(EpicSegmentMetric):
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
        check_choice('tokens', tokens, ('last', 'mean'))
        super().__init__(ann_file, **kwargs)
        self.tau_a = tau_a
        self.tokens = tokens

    def used_rows(self, array: np.ndarray) -> np.ndarray:
        return array[-1:] if self.tokens == 'last' else array

    def is_needed(self, times: np.ndarray, starts: np.ndarray,
                  stops: np.ndarray) -> np.ndarray:
        age = starts - self.tau_a - times[:, 1:]
        return ((age >= -SAME_TIME) & (age <= self.max_distance)).any(1)

    def tokens_of(self, times: np.ndarray, start: float,
                  stop: float) -> np.ndarray:
        return last_token_before(times, start - self.tau_a, self.max_distance)

    def nothing_to_observe(self, rows: list[int],
                           found: dict[tuple, dict]) -> list[int]:
        table = self.truth.segments
        first: dict[str, tuple[float, float]] = {}
        if self.online:
            for (video, _), clip in found.items():
                first[video] = tuple(map(
                    min, first.get(video, (np.inf, np.inf)), clip['first']))
        if self.missing == 'leave_out':
            # Of a part of the videos: the others are not there, whether or
            # not something could have been observed in them.
            seen = {key if self.online else table.video_ids[
                table.rows_by_id[key]] for key, _ in found}
            rows = [row for row in rows if table.video_ids[row] in seen]
        excused = []
        for row in rows:
            target = table.starts[row] - self.tau_a
            begin, end = first.get(table.video_ids[row], (np.inf, np.inf))
            # If the video's first clips are there, no token can end before
            # its first one does.
            if target <= SAME_TIME or (begin <= self.max_distance
                                       and target < end):
                excused.append(row)
        return excused
