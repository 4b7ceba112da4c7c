# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Where a model looks when it is asked, by how long ago the answer was."""
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from mmaction_memvit.messages import text_table


def attention_records(steps: Sequence[Any],
                      questions: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """What the questions of a video attend to.

    Args:
        steps (Sequence[ClipPrediction]): Of all clips, with ``attention``.
        questions (Iterable[Mapping]): Its questions with ``clip`` and
            ``delay``, as in ``longcue_meta.json``.

    Returns:
        pd.DataFrame: A row a question: ``delay``; ``share``, of what the
        remembered clips get the part of the cue; ``first``, whether that is
        more than of any other one; ``chance``, 1 / remembered clips.
    """
    rows = []
    for question in questions:
        attention = steps[question['clip']].attention
        ages, shares = attention.ages[1:], attention.share[1:]
        if question['delay'] not in ages:
            # Not remembered any more.
            continue
        place = ages.index(question['delay'])
        rows.append(
            dict(delay=question['delay'], share=shares[place] / shares.sum(),
                 first=shares.argmax() == place,
                 chance=1 / (shares > 0).sum()))
    return pd.DataFrame(rows)


def format_attention_table(records: pd.DataFrame) -> str:
    """A table of :func:`attention_records`, a line a delay and one for all."""
    groups = [(str(delay), x) for delay, x in records.groupby('delay')]
    return text_table([
        ('delay', 'questions', 'cue gets most', 'share of the cue', 'chance'),
        *((name, len(x), f'{x["first"].mean():.0%}', f'{x.share.mean():.0%}',
           f'{x.chance.mean():.0%}') for name, x in
          [*groups, ('all', records)])
    ], left=())
