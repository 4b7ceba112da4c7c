# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Make DistantPair, videos of which two distant clips tell the label together.

    python examples/generate.py distant-pair data/distant_pair

writes ``{train,val}/pair_00000.mp4`` ..., videos with two signs, the lists
``{train,val}.txt`` (``path label``); ``{train,val}_signs/sign_00000.mp4`` ...
and ``{train,val}_signs.txt``, short videos with one sign or none, labelled
with it; ``distant_pair_index.json`` (frame counts, for ``index_file``) and
``distant_pair_meta.json`` (options, class names, and for every video with two
signs which they are, and where).
"""
import argparse
import os.path as osp
from functools import partial
from typing import Any

from mmengine.fileio import put_text

from .distant_pair import (
    DistantPairSpec,
    VideoPlan,
    pair_table,
    plan_pairs,
    plan_signs,
    render_video,
)
from .options import add_set_options
from .video_set import (
    make_set,
    make_videos,
    store_video,
)

META_FILE = 'distant_pair_meta.json'
INDEX_FILE = 'distant_pair_index.json'
# To be raised when the same options give other videos or lists.
VERSION = 1


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this set."""
    default = DistantPairSpec()
    for split, families, signs in (('train', 36, 120), ('val', 12, 12)):
        parser.add_argument(
            f'--{split}-families', type=int, default=families,
            help=f'{split} scenes with two signs; there are num_things ** 2 '
            'videos of each, one for every pair of signs')
        parser.add_argument(
            f'--{split}-sign-families', type=int, default=signs,
            help=f'{split} scenes with one sign; there are 2 * num_things + 1 '
            'videos of each, one for every sign and one without')
    parser.add_argument('--num-things', type=int, default=default.num_things,
        help='number of classes, 2 to 6')
    parser.add_argument('--num-slots', type=int, default=default.num_slots,
        help='slots of a video, of which two show a sign')
    parser.add_argument('--slot-frames', type=int, default=default.slot_frames,
        help='frames of a slot, which lasts one second')
    parser.add_argument('--min-distance', type=int,
        default=default.min_distance,
        help='slots from the first sign to the second, at least')
    parser.add_argument('--size', type=int, default=default.size,
        help='height and width in pixels, a multiple of 32')
    add_set_options(parser, default.seed)


def make_video(plan: VideoPlan, spec: DistantPairSpec,
               out_dir: str) -> dict[str, Any]:
    """Draw and write one video; returns its entry in the index."""
    # A key frame opens every slot, so that none carries a trace of another.
    return store_video(
        osp.join(out_dir, plan.name), render_video(spec, plan),
        spec.frame_rate, range(0, spec.num_frames, spec.slot_frames))


def make_distant_pair(out_dir: str, spec: DistantPairSpec,
                      families: dict[str, int], sign_families: dict[str, int],
                      num_workers: int = 1,
                      force: bool = False) -> dict[str, Any]:
    """Make a DistantPair set, or leave it alone if it is there already.

    Args:
        out_dir (str): Folder to write to.
        spec (DistantPairSpec): The options of the set.
        families (dict[str, int]): Scenes with two signs by split.
        sign_families (dict[str, int]): Scenes with one sign by split.
        num_workers (int): Processes. Defaults to 1.
        force (bool): Whether to replace a set that was made with other
            options; else that is a FileExistsError. Defaults to False.

    Returns:
        dict: What ``distant_pair_meta.json`` holds.
    """
    plans, splits = [], {}
    for split, number in families.items():
        pairs = plan_pairs(spec, split, number * spec.num_things**2)
        splits[split] = dict(
            _list(split, pairs), questions=pair_table(spec, pairs))
        plans += pairs
    for split, number in sign_families.items():
        signs = plan_signs(spec, split, number * len(spec.sign_classes))
        splits[f'{split}_signs'] = _list(f'{split}_signs', signs)
        plans += signs
    meta = {
        'dataset': 'DistantPair',
        'version': VERSION,
        'spec': spec.to_dict(),
        'classes': list(spec.classes),
        'sign_classes': list(spec.sign_classes),
        'chance': 1 / spec.num_things,
        'fps': spec.frame_rate,
        'num_frames': spec.num_frames,
        'splits': splits}

    def write() -> None:
        make_videos(partial(make_video, spec=spec, out_dir=out_dir), plans,
                    [plan.name for plan in plans], out_dir,
                    osp.join(out_dir, INDEX_FILE), num_workers,
                    chunksize=spec.num_things**2)
        for content in splits.values():
            listed = set(content['videos'])
            put_text(
                ''.join(f'{plan.name} {plan.label}\n' for plan in plans
                        if plan.name in listed),
                osp.join(out_dir, content['ann_file']))

    return make_set(osp.join(out_dir, META_FILE), meta, force, write)


def _list(split: str, plans: list[VideoPlan]) -> dict[str, Any]:
    return {'ann_file': f'{split}.txt',
            'videos': [plan.name for plan in plans]}


def make(args: argparse.Namespace) -> None:
    """Make the set of some options and say what it holds."""
    spec = DistantPairSpec(
        num_things=args.num_things, num_slots=args.num_slots,
        slot_frames=args.slot_frames, min_distance=args.min_distance,
        size=args.size, seed=args.seed)
    meta = make_distant_pair(
        args.out_dir, spec,
        dict(train=args.train_families, val=args.val_families),
        dict(train=args.train_sign_families, val=args.val_sign_families),
        num_workers=args.num_workers, force=args.force)
    for content in meta['splits'].values():
        slots = spec.num_slots if 'questions' in content else 1
        print(f'{osp.join(args.out_dir, content["ann_file"])}: '
              f'{len(content["videos"])} videos of {slots} s')
    print(f'classes: {", ".join(meta["classes"])}; chance '
          f'{meta["chance"]:.0%}')
