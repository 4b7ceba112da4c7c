# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Make LongCue, a set of long videos that need memory.

    python examples/generate.py longcue data/longcue

writes ``{train,val}/longcue_00000.mp4`` ..., the lists
``{train,val}_segments.txt`` (``path start end label``, seconds; for validation
only the clips with a question are labelled, for training the clips that show
a cue, too), ``longcue_index.json`` (frame counts, for ``index_file``) and
``longcue_meta.json`` (options, class names, and for every question its video,
clip, delay, label and cue clip).
"""
import argparse
import os.path as osp
from functools import partial
from typing import Any

from mmengine.fileio import put_text

from .longcue import (
    LongCueSpec,
    VideoPlan,
    plan_videos,
    question_table,
    render_video,
    segment_lines,
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

META_FILE = 'longcue_meta.json'
INDEX_FILE = 'longcue_index.json'
# To be raised when the same options give other videos or lists.
VERSION = 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this set."""
    add_longcue_options(
        parser, LongCueSpec(), train_videos=128, val_videos=64)


def make_video(plan: VideoPlan, spec: LongCueSpec,
               out_dir: str) -> dict[str, Any]:
    """Draw and write one video.

    Args:
        plan (VideoPlan): What happens in the video.
        spec (LongCueSpec): The options of the set.
        out_dir (str): Folder of the set.

    Returns:
        dict: The video's entry in the index of frame counts.
    """
    return store_video(
        osp.join(out_dir, plan.name), render_video(spec, plan),
        spec.frame_rate, range(0, spec.num_frames, spec.clip_frames))


def make_longcue(out_dir: str,
                 spec: LongCueSpec,
                 num_videos: dict[str, int],
                 num_workers: int = 1,
                 force: bool = False,
                 label_cues: str = 'train') -> dict[str, Any]:
    """Make a LongCue set, or leave it alone if it is there already.

    Args:
        out_dir (str): Folder to write to.
        spec (LongCueSpec): The options of the set.
        num_videos (Dict[str, int]): Number of videos by split.
        num_workers (int): Processes. Defaults to 1.
        force (bool): Whether to replace a set that was made with other
            options. Defaults to False.
        label_cues (str): Lists in which the clips that show a cue are
            labelled, too: 'none', 'train' or 'all'. Defaults to 'train'.

    Returns:
        dict: What ``longcue_meta.json`` holds.

    Raises:
        FileExistsError: If the folder holds another set and not ``force``.
    """
    plans = {
        split: plan_videos(spec, split, number)
        for split, number in num_videos.items()
    }
    meta = {
        'dataset': 'LongCue',
        'version': VERSION,
        'spec': spec.to_dict(),
        'classes': list(spec.classes),
        'chance': 1 / spec.num_cues,
        'clip_seconds': spec.clip_seconds,
        'fps': spec.frame_rate,
        'num_frames': spec.num_frames,
        'label_cues': label_cues,
        'splits': {
            split: {
                'ann_file': f'{split}_segments.txt',
                'videos': [plan.name for plan in split_plans],
                'questions': question_table(split_plans)
            }
            for split, split_plans in plans.items()
        }
    }

    def write() -> None:
        all_plans = sum(plans.values(), [])
        make_videos(
            partial(make_video, spec=spec, out_dir=out_dir),
            all_plans, [plan.name for plan in all_plans],
            out_dir,
            osp.join(out_dir, INDEX_FILE),
            num_workers,
            chunksize=spec.num_cues)
        for split, split_plans in plans.items():
            with_cues = label_cues in ('all', split)
            lines = [
                line for plan in split_plans
                for line in segment_lines(spec, plan, with_cues)
            ]
            put_text('\n'.join(lines) + '\n',
                     osp.join(out_dir, meta['splits'][split]['ann_file']))

    return make_set(osp.join(out_dir, META_FILE), meta, force, write)


def make(args: argparse.Namespace) -> None:
    """Make the set of some options and say what it holds."""
    spec = LongCueSpec(**longcue_options(args))
    meta = make_longcue(
        args.out_dir,
        spec,
        dict(train=args.train_videos, val=args.val_videos),
        num_workers=args.num_workers,
        force=args.force,
        label_cues=args.label_cues)
    for split, content in meta['splits'].items():
        print(f'{split}: {len(content["videos"])} videos of '
              f'{spec.clips_per_video} clips '
              f'({spec.clips_per_video * spec.clip_seconds:g} s), '
              f'{len(content["questions"])} questions, '
              f'{osp.join(args.out_dir, content["ann_file"])}')
    print(f'classes: {", ".join(meta["classes"])}; chance '
          f'{meta["chance"]:.0%}')
