# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a model says, clip by clip, while a video runs."""
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional

from .delay_accuracy import scores_to_numpy

_BAR_WIDTH = 10


def format_timeline(
        steps: Iterable[tuple[int, Any]], classes: Sequence[str],
        clip_seconds: float, shown: Optional[Mapping[int, str]] = None,
        answers: Optional[Mapping[int, int]] = None) -> Iterator[str]:
    """Write the time line of one video, line by line as scores arrive.

    A heading, a line a clip, before the next clip is asked for, and, with
    ``answers``, a summary.

    Args:
        steps (Iterable[tuple[int, Any]]): Number of a clip and the model's
            scores for it, of shape (num_classes, ).
        classes (Sequence[str]): Names of the classes.
        clip_seconds (float): Seconds from one clip to the next.
        shown (Mapping[int, str], optional): What is shown, by clip number.
        answers (Mapping[int, int], optional): The right class of the clips
            that ask for one, by clip number. These are marked as right or
            wrong and summed up in the last line.
    """
    shown, answers = shown or {}, answers or {}
    show_width = max(map(len, ['shown', *shown.values()]))
    name_width = max(map(len, ['answer', *classes]))

    def line(clip: str, time: str, what: str, bar: str, name: str, score: str,
             mark: str) -> str:
        what = f'{what:{show_width}}  ' if shown else ''
        return (f'{clip:>5}  {time:>9}  {what}{name:{name_width}}  {score:>5}'
                f'  {bar:{_BAR_WIDTH}}  {mark}').rstrip()

    yield line('clip', 'time', 'shown', '', 'answer', 'score', '')
    right = asked = 0
    for clip, scores in steps:
        scores = scores_to_numpy(scores)
        best = int(scores.argmax())
        mark = ''
        if clip in answers:
            asked += 1
            right += best == answers[clip]
            mark = ('right' if best == answers[clip] else
                    f'WRONG, {classes[answers[clip]]}')
        # Logits may lie anywhere, a bar only holds shares.
        filled = round(min(max(float(scores[best]), 0), 1) * _BAR_WIDTH)
        yield line(
            str(clip), f'{clip * clip_seconds:.1f} s', shown.get(clip, ''),
            '#' * filled, classes[best], f'{scores[best]:.2f}', mark)
    if answers:
        yield f'{right} of {asked} questions answered rightly'
