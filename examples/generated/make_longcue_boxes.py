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
from functools import partial
from typing import Any

from mmengine.fileio import dump, put_text

from mmaction_memvit.annotations.class_names import write_label_map

from .longcue_boxes import (
    BoxVideoPlan,
    LongCueBoxesSpec,
    annotation_rows,
    box_question_table,
    cue_keyframes,
    plan_box_videos,
    proposal_table,
    render_box_video,
)
from .options import (
    add_longcue_options,
    longcue_options,
)
from .video_set import (
    make_set,
    make_videos,
    store_video,
)

META_FILE = 'longcue_boxes_meta.json'
INDEX_FILE = 'index.json'
LABEL_FILE = 'label_map.pbtxt'
VIDEO_FOLDER = 'videos'
# To be raised when the same options give other videos or tables.
VERSION = 2


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this set."""
    add_longcue_options(
        parser, LongCueBoxesSpec(), train_videos=128, val_videos=32)


def make_video(plan: BoxVideoPlan, spec: LongCueBoxesSpec,
               out_dir: str) -> dict[str, Any]:
    """Draw and write one video.

    Args:
        plan (BoxVideoPlan): What happens in the video.
        spec (LongCueBoxesSpec): The options of the set.
        out_dir (str): Folder of the set.

    Returns:
        dict: The video's entry in the index of frame counts.
    """
    return store_video(
        osp.join(out_dir, VIDEO_FOLDER, f'{plan.video_id}.mp4'),
        render_box_video(spec, plan), spec.frame_rate,
        range(0, spec.num_frames, spec.gop_size))


def make_longcue_boxes(out_dir: str,
                       spec: LongCueBoxesSpec,
                       num_videos: dict[str, int],
                       num_workers: int = 1,
                       force: bool = False,
                       label_cues: str = 'train') -> dict[str, Any]:
    """Make a set, or leave it alone if it is there already.

    Args:
        out_dir (str): Folder to write to.
        spec (LongCueBoxesSpec): The options of the set.
        num_videos (Dict[str, int]): Number of videos by split.
        num_workers (int): Processes. Defaults to 1.
        force (bool): Whether to replace a set that was made with other
            options. Defaults to False.
        label_cues (str): Tables in which the boxes that show a cue are
            labelled, too: 'none', 'train' or 'all'. Defaults to 'train'.

    Returns:
        dict: What ``longcue_boxes_meta.json`` holds.

    Raises:
        FileExistsError: If the folder holds another set and not ``force``.
    """
    plans = {
        split: plan_box_videos(spec, split, number)
        for split, number in num_videos.items()
    }
    meta = {
        'dataset': 'LongCueBoxes',
        'version': VERSION,
        'spec': spec.to_dict(),
        'classes': list(spec.classes),
        'chance': 1 / spec.num_cues,
        'fps': spec.frame_rate,
        'keyframe_rate': spec.keyframe_rate,
        'timestamps': [1, spec.clips_per_video],
        'num_frames': spec.num_frames,
        'label_cues': label_cues,
        'label_file': LABEL_FILE,
        'index_file': INDEX_FILE,
        'splits': {
            split: {
                'ann_file': f'{split}.csv',
                'exclude_file': f'{split}_excluded.csv',
                'proposal_file': f'proposals_{split}.pkl',
                'videos': [
                    f'{VIDEO_FOLDER}/{plan.video_id}.mp4'
                    for plan in split_plans
                ],
                'questions': box_question_table(spec, split_plans)
            }
            for split, split_plans in plans.items()
        }
    }

    def write() -> None:
        all_plans = sum(plans.values(), [])
        make_videos(
            partial(make_video, spec=spec, out_dir=out_dir), all_plans,
            [f'{plan.video_id}.mp4' for plan in all_plans],
            osp.join(out_dir, VIDEO_FOLDER), osp.join(out_dir, INDEX_FILE),
            num_workers)
        write_label_map(
            osp.join(out_dir, LABEL_FILE),
            dict(enumerate(spec.classes, start=1)))
        for split, split_plans in plans.items():
            write_tables(out_dir, meta['splits'][split], spec, split_plans,
                         label_cues in ('all', split))

    return make_set(osp.join(out_dir, META_FILE), meta, force, write)


def write_tables(out_dir: str, content: dict[str, Any],
                 spec: LongCueBoxesSpec, plans: list[BoxVideoPlan],
                 with_cues: bool) -> None:
    """Write annotations, excluded keyframes and proposals of a split."""
    rows = [
        row for plan in plans for row in annotation_rows(
            spec, plan, with_cues)
    ]
    put_text('\n'.join(rows) + '\n', osp.join(out_dir, content['ann_file']))
    unlabelled = [] if with_cues else [
        row for plan in plans for row in cue_keyframes(plan)
    ]
    put_text(''.join(f'{row}\n' for row in unlabelled),
             osp.join(out_dir, content['exclude_file']))
    dump(
        proposal_table(spec, plans), osp.join(out_dir,
                                              content['proposal_file']))


def make(args: argparse.Namespace) -> None:
    """Make the set of some options and say what it holds."""
    spec = LongCueBoxesSpec(**longcue_options(args))
    meta = make_longcue_boxes(
        args.out_dir,
        spec,
        dict(train=args.train_videos, val=args.val_videos),
        num_workers=args.num_workers,
        force=args.force,
        label_cues=args.label_cues)
    for split, content in meta['splits'].items():
        print(f'{split}: {len(content["videos"])} videos of '
              f'{spec.clips_per_video} keyframes, '
              f'{len(content["questions"])} questions, '
              f'{osp.join(args.out_dir, content["ann_file"])}, '
              f'{osp.join(args.out_dir, content["proposal_file"])}')
    print(f'classes: {", ".join(meta["classes"])}; chance '
          f'{meta["chance"]:.0%}; {spec.frame_rate:g} frames and '
          f'{spec.keyframe_rate} keyframe(s) a second')
