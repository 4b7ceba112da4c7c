# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Any

import numpy as np
from mmaction.registry import METRICS

from ...messages import check_choice
from ..functional.epic import SAME_TIME, last_token_before
from .epic_metric import EpicRecognitionMetric


@METRICS.register_module()
class EpicAnticipationMetric(EpicRecognitionMetric):
    """Action anticipation on EPIC-KITCHENS-100, as the challenge measures it.

    Two kinds of samples can be evaluated:

    - Segments (``online=False``): a sample is the clip that ends ``tau_a``
      seconds before a segment, with the segment's ``narration_id`` (or
      ``segment_id``). Scores have shape (num_classes, ), or (T, num_classes)
      by temporal token; of those the last is used, or with
      ``tokens='mean'`` their average.
    - Clips of whole videos (``online=True``): as for recognition, but a
      token's scores say what happens ``tau_a`` after its end. A segment gets
      the last token that ends at ``start - tau_a`` or before, at most
      ``max_distance`` before. Where clips overlap and tokens end at the same
      time, it is the one of the earlier clip, which has seen most.

    Segments before which nothing can be observed are missed and count: those
    that start at ``tau_a`` or before, and in whole videos those before whose
    ``start - tau_a`` no token ends. They have NaN in the dump. With
    ``missing='leave_out'`` videos of which nothing was scored are left out.

    Measures are class-mean top-5 recalls, see ``evaluate_epic_anticipation``.

    Args:
        ann_file (str): List of segments, see :class:`EpicTruth`.
        tau_a (float): Seconds from the last observation to the segment.
            Defaults to 1.
        tokens (str): 'last' or 'mean', see above. Defaults to 'last'.
        **kwargs: All further arguments of :class:`EpicRecognitionMetric`.
    """

    challenge = 'action_anticipation'

    def __init__(self, ann_file: str, tau_a: float = 1., tokens: str = 'last',
                 **kwargs: Any) -> None:
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
        first: dict[str, np.ndarray] = {}
        if self.online:
            for (video, _), clip in found.items():
                first[video] = np.minimum(first.get(video, np.inf),
                                          clip['first'])
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
