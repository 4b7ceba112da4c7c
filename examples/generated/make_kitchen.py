# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Make a small set in the form of EPIC-KITCHENS-100 that needs memory.

    python examples/generate.py kitchen data/epic_generated

writes ``annotations/`` (lists of segments, classes, tail classes, unseen
participants and videos, named and formed as the published ones),
``videos/P01/P01_01.MP4`` ... (59.94 and 50 frames a second),
``epic_index.json`` (frame counts, for ``index_file``) and
``epic_meta.json`` (options, chance, and for every use its segment, delay and
classes). What verbs and nouns mean is told in ``kitchen.py``.
"""
import argparse
import os.path as osp
from functools import partial
from typing import Any, Dict, List, Sequence

import numpy as np
from mmengine.fileio import put_text

from .kitchen import (
    SPLITS,
    VERBS,
    KitchenSpec,
    KitchenVideo,
    annotation_files,
    event_segments,
    picture_numbers,
    plan_kitchen,
    render_pictures,
)
from .options import add_set_options
from .video_set import (
    make_set,
    make_videos,
    store_video,
)

META_FILE = 'epic_meta.json'
# To be raised when the same options give other videos or lists.
VERSION = 3
VIDEO_FOLDER = 'videos'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this set."""
    default = KitchenSpec()
    for split, number in zip(SPLITS, (120, 24, 12)):
        parser.add_argument(f'--{split}-videos', type=int, default=number,
            help=f'{split} videos, a multiple of --num-things')
    parser.add_argument('--num-things', type=int, default=default.num_things,
        help='nouns that are to be remembered, 2 to 6')
    parser.add_argument(
        '--clips-per-video', type=int, default=default.clips_per_video)
    parser.add_argument('--size', type=int, default=default.size,
        help='height and width in pixels, a multiple of 32')
    parser.add_argument('--label-cues', nargs='*', choices=SPLITS,
        default=['train'], help='splits in which the cues are annotated, too')
    add_set_options(parser, default.seed)


def make_video(plan: KitchenVideo, spec: KitchenSpec,
               out_dir: str) -> Dict[str, Any]:
    """Draws and writes one video; returns its entry in the index."""
    numbers = picture_numbers(spec, plan.fps)
    clips = numbers // spec.clip_len
    starts = np.flatnonzero(np.diff(clips, prepend=-1)).tolist()
    return store_video(
        osp.join(out_dir, VIDEO_FOLDER, plan.path),
        render_pictures(spec, plan)[numbers], plan.fps, set(starts))


def list_uses(spec: KitchenSpec, plans: Dict[str, List[KitchenVideo]],
              label_cues: Sequence[str]) -> List[Dict[str, Any]]:
    """What must be remembered, for analysis by delay."""
    uses = []
    for split, videos in plans.items():
        for plan in videos:
            segments = event_segments(spec, plan, split in label_cues)
            uses += [
                dict(split=split, narration_id=f'{plan.video_id}_{number}',
                     delay=event.delay, verb=event.verb, noun=event.noun)
                for number, (_, _, event) in enumerate(segments)
                if event.delay]
    return uses


def make_kitchen(out_dir: str, spec: KitchenSpec, num_videos: Dict[str, int],
                 num_workers: int = 1, force: bool = False,
                 label_cues: Sequence[str] = ('train', )) -> Dict[str, Any]:
    """Makes the set, or leaves it alone if it is there already.

    Args:
        out_dir (str): Folder to write to.
        spec (KitchenSpec): The options of the set.
        num_videos (dict[str, int]): Number of videos by split.
        num_workers (int): Processes. Defaults to 1.
        force (bool): Whether to replace a set that was made with other
            options; else that is a FileExistsError. Defaults to False.
        label_cues (Sequence[str]): Splits in which cues are annotated.
            Defaults to ('train', ).

    Returns:
        dict: What ``epic_meta.json`` holds.
    """
    plans = {split: plan_kitchen(spec, split, number)
             for split, number in num_videos.items()}
    meta = dict(
        dataset='LongCueKitchen', version=VERSION,
        spec={k: list(v) if isinstance(v, tuple) else v
              for k, v in vars(spec).items()},
        label_cues=list(label_cues), verbs=list(VERBS), nouns=list(spec.nouns),
        clip_seconds=spec.clip_seconds, chance=1 / spec.num_things,
        splits={
            split: dict(videos=[f'{VIDEO_FOLDER}/{v.path}' for v in videos])
            for split, videos in plans.items()},
        uses=list_uses(spec, plans, label_cues))

    def write() -> None:
        videos = sum(plans.values(), [])
        make_videos(partial(make_video, spec=spec, out_dir=out_dir), videos,
                    [v.path for v in videos], osp.join(out_dir, VIDEO_FOLDER),
                    osp.join(out_dir, 'epic_index.json'), num_workers,
                    chunksize=spec.num_things)
        for name, text in annotation_files(spec, plans, label_cues).items():
            put_text(text, osp.join(out_dir, 'annotations', name))

    return make_set(osp.join(out_dir, META_FILE), meta, force, write)


def make(args: argparse.Namespace) -> None:
    """Make the set of some options and say what it holds."""
    num_videos = {s: getattr(args, f'{s}_videos') for s in SPLITS}
    spec = KitchenSpec(num_things=args.num_things,
                       clips_per_video=args.clips_per_video, size=args.size,
                       seed=args.seed)
    meta = make_kitchen(args.out_dir, spec, num_videos, args.num_workers,
                        args.force, args.label_cues)
    for split, number in num_videos.items():
        uses = sum(use['split'] == split for use in meta['uses'])
        print(f'{split}: {number} videos of {spec.clips_per_video} clips of '
              f'{spec.clip_seconds:g} s, {uses} uses')
    print(f'verbs: {", ".join(meta["verbs"])}; nouns: '
          f'{", ".join(meta["nouns"])}; noun of a use by chance '
          f'{meta["chance"]:.0%}')
