# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Make LongCue with boxes: action detection that needs memory, in AVA form.

    python examples/generate.py longcue-boxes data/longcue_boxes

writes

- ``videos/train_00000.mp4`` ..., ``videos/val_00000.mp4`` ...: two persons
  each; the video id in all tables is the file name without suffix;
- ``train.csv``, ``val.csv``: ``video,timestamp,x1,y1,x2,y2,action,person``
  (for validation only the boxes that are asked about, for training those that
  show a cue, too);
- ``train_excluded.csv``, ``val_excluded.csv``: ``video,timestamp`` of the
  keyframes that show a cue which has no label: the metric passes them over,
  the data set must not (the memory is to see them);
- ``proposals_train.pkl``, ``proposals_val.pkl``: both persons' boxes at every
  keyframe;
- ``label_map.pbtxt``; ``index.json`` (frame counts, by file name);
- ``longcue_boxes_meta.json``: options, class names, and for every question
  its video, timestamp, person, box, delay, label and the cue's timestamp.

Keyframes have the timestamps 1, 2, ..., clips_per_video, one a second
(``keyframe_rate`` in the meta file, should --fps change it); timestamp 0 is
the first frame of the file (``timestamp_start=0``). The ``clip_len`` frames
around a keyframe are one clip.
"""
import argparse
import os.path as osp
from typing import Any

from mmengine.fileio import dump, put_text

from mmaction_memvit.annotations.class_names import write_label_map

from .longcue import VideoPlan
from .longcue_boxes import (
    LongCueBoxesSpec,
    annotation_rows,
    box_question_table,
    cue_keyframes,
    proposal_table,
    render_box_video,
)
from .longcue_set import SetForm
from .options import add_longcue_options

LABEL_FILE = 'label_map.pbtxt'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this set."""
    add_longcue_options(
        parser, LongCueBoxesSpec(), train_videos=128, val_videos=32)


def _about(spec: LongCueBoxesSpec) -> dict[str, Any]:
    return {
        'keyframe_rate': spec.keyframe_rate,
        'timestamps': [1, spec.clips_per_video],
        'label_file': LABEL_FILE,
        'index_file': BOXES.index_file}


def _content(spec: LongCueBoxesSpec, split: str,
             plans: list[VideoPlan]) -> dict[str, Any]:
    return {
        'ann_file': f'{split}.csv',
        'exclude_file': f'{split}_excluded.csv',
        'proposal_file': f'proposals_{split}.pkl',
        'questions': box_question_table(spec, plans)}


def _write(out_dir: str, content: dict[str, Any], spec: LongCueBoxesSpec,
           plans: list[VideoPlan], with_cues: bool) -> None:
    """Write label map, annotations, excluded keyframes and proposals."""
    write_label_map(
        osp.join(out_dir, LABEL_FILE), dict(enumerate(spec.classes, start=1)))
    rows = [row for plan in plans
            for row in annotation_rows(spec, plan, with_cues)]
    put_text('\n'.join(rows) + '\n', osp.join(out_dir, content['ann_file']))
    unlabelled = [] if with_cues else [row for plan in plans
                                       for row in cue_keyframes(plan)]
    put_text(''.join(f'{row}\n' for row in unlabelled),
             osp.join(out_dir, content['exclude_file']))
    dump(proposal_table(spec, plans),
         osp.join(out_dir, content['proposal_file']))


BOXES = SetForm('LongCueBoxes', 2, LongCueBoxesSpec,
                'longcue_boxes_meta.json', 'index.json', 'videos', '.mp4',
                render_box_video, _about, _content, _write)
make_longcue_boxes, make = BOXES.make, BOXES.run
