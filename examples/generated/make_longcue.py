# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Make LongCue, a set of long videos that need memory.

    python examples/generate.py longcue data/longcue

writes ``{train,val}/longcue_00000.mp4`` ..., the lists
``{train,val}_segments.txt`` (``path start end label``, seconds; for validation
only the clips with a question are labelled, for training the clips that show
a cue, too), ``{train,val}_questions.txt`` (the clips with a question only),
``longcue_index.json`` (frame counts, for ``index_file``) and
``longcue_meta.json`` (options, class names, and for every question its video,
clip, delay, label and cue clip).
"""
import argparse
import os.path as osp
from typing import Any

from mmengine.fileio import put_text

from .longcue import (
    LongCueSpec,
    VideoPlan,
    question_table,
    render_video,
    segment_lines,
)
from .longcue_set import SetForm
from .options import add_longcue_options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this set."""
    add_longcue_options(parser, LongCueSpec(), train_videos=128, val_videos=64)


def _about(spec: LongCueSpec) -> dict[str, Any]:
    return {'clip_seconds': spec.clip_seconds}


def _content(spec: LongCueSpec, split: str,
             plans: list[VideoPlan]) -> dict[str, Any]:
    return {'ann_file': f'{split}_segments.txt',
            'question_file': f'{split}_questions.txt',
            'questions': question_table(plans)}


def _write(out_dir: str, content: dict[str, Any], spec: LongCueSpec,
           plans: list[VideoPlan], with_cues: bool) -> None:
    for name, label_cues in ((content['ann_file'], with_cues),
                             (content['question_file'], False)):
        lines = [line for plan in plans
                 for line in segment_lines(spec, plan, label_cues)]
        put_text('\n'.join(lines) + '\n', osp.join(out_dir, name))


LONGCUE = SetForm('LongCue', 2, LongCueSpec, 'longcue_meta.json',
                  'longcue_index.json', '', '', render_video, _about,
                  _content, _write)
make_longcue, make = LONGCUE.make, LONGCUE.run
