# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Makes a small set in the form of EPIC-KITCHENS-100 that needs memory.

    python tools/data/epic100/make_generated.py data/epic_generated

writes ``annotations/`` (lists of segments, classes, tail classes, unseen
participants and videos, named and formed as the published ones),
``videos/P01/P01_01.MP4`` ... (59.94 and 50 frames a second),
``epic_index.json`` (frame counts, for ``index_file``) and
``epic_meta.json`` (options, chance, and for every use its segment, delay and
classes). What verbs and nouns mean is told in
``mmaction_memvit/datasets/longcue_kitchen.py``.
"""
import argparse
import os
import os.path as osp
import shutil
import time
from fractions import Fraction
from functools import partial

import cv2
import mmengine
import numpy as np
from mmengine.fileio import dump, load, put_text

from mmaction_memvit.datasets.longcue_kitchen import (
    SPLITS,
    VERBS,
    KitchenSpec,
    annotation_files,
    event_segments,
    picture_numbers,
    plan_kitchen,
    render_pictures,
)
from mmaction_memvit.datasets.video_index import probe_video, write_video_index

META_FILE = 'epic_meta.json'
# To be raised when the same options give other videos or lists.
VERSION = 2


def parse_args(argv=None):
    """Reads the command line."""
    default = KitchenSpec()
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n')[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('out_dir', help='folder to write to')
    for split, number in zip(SPLITS, (120, 24, 12)):
        parser.add_argument(
            f'--{split}-videos',
            type=int,
            default=number,
            help=f'{split} videos, a multiple of --num-things')
    parser.add_argument(
        '--num-things',
        type=int,
        default=default.num_things,
        help='nouns that are to be remembered, 2 to 6')
    parser.add_argument(
        '--clips-per-video', type=int, default=default.clips_per_video)
    parser.add_argument(
        '--size',
        type=int,
        default=default.size,
        help='height and width in pixels, a multiple of 32')
    parser.add_argument(
        '--label-cues',
        nargs='*',
        choices=SPLITS,
        default=['train'],
        help='splits in which the cues are annotated, too')
    parser.add_argument('--seed', type=int, default=default.seed)
    parser.add_argument(
        '--num-workers',
        type=int,
        default=min(8, os.cpu_count() or 1),
        help='processes; 0 or 1 works in this one')
    parser.add_argument(
        '--force',
        action='store_true',
        help='replace a set that was made with other options')
    return parser.parse_args(argv)


def write_video(path, frames, fps, keys):
    """Writes an .mp4 file whose clips decode to what is in them alone.

    Args:
        path (str): File to write.
        frames (Iterable[np.ndarray]): RGB, uint8 (size, size, 3).
        fps (float): Frames per second.
        keys (set[int]): Frames to be key frames: the first of every clip, as
            a frame predicted from an earlier clip would carry a trace of it.

    Raises:
        ImportError: If PyAV is missing.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError('videos are written with PyAV, which is missing; '
                          'run `pip install av`') from error
    with av.open(path, 'w', format='mp4') as container:
        stream = container.add_stream(
            'mpeg4', rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt = 'yuv420p'
        # Key frames where they are asked for and nowhere else, one quantiser
        # for all frames.
        stream.options = {
            'qmin': '2',
            'qmax': '2',
            'bf': '0',
            'sc_threshold': '1000000000'
        }
        stream.codec_context.gop_size = 600
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format='rgb24')
            if number == 0:
                stream.height, stream.width = frame.shape[:2]
            if number in keys:
                picture.pict_type = av.video.frame.PictureType.I
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def make_video(plan, spec, out_dir):
    """Draws and writes one video; returns its entry in the index."""
    pictures = render_pictures(spec, plan)
    numbers = picture_numbers(spec, plan.fps)
    clips = numbers // spec.clip_len
    keys = set(np.flatnonzero(np.diff(clips, prepend=-1)).tolist())
    path = osp.join(out_dir, 'videos', plan.path)
    write_video(path, (pictures[i] for i in numbers), plan.fps, keys)
    entry = probe_video(path)
    if entry['num_frames'] != len(numbers):
        raise RuntimeError(
            f'{path}: wrote {len(numbers)} frames but read '
            f'{entry["num_frames"]}; check the disk space and PyAV')
    return entry


def list_uses(spec, plans, label_cues):
    """What must be remembered, for analysis by delay."""
    uses = []
    for split, videos in plans.items():
        for plan in videos:
            segments = event_segments(spec, plan, split in label_cues)
            uses += [
                dict(split=split, narration_id=f'{plan.video_id}_{number}',
                     delay=event.delay, verb=event.verb, noun=event.noun)
                for number, (_, _, event) in enumerate(segments)
                if event.delay
            ]
    return uses


def make_generated(out_dir, spec, num_videos, num_workers=1, force=False,
                   label_cues=('train', )):
    """Makes the set, or leaves it alone if it is there already.

    Args:
        out_dir (str): Folder to write to.
        spec (KitchenSpec): The options of the set.
        num_videos (dict[str, int]): Number of videos by split.
        num_workers (int): Processes. Defaults to 1.
        force (bool): Whether to replace a set that was made with other
            options. Defaults to False.
        label_cues (Sequence[str]): Splits in which cues are annotated.
            Defaults to ('train', ).

    Returns:
        dict: What ``epic_meta.json`` holds.

    Raises:
        FileExistsError: If the folder holds another set and not ``force``.
    """
    plans = {split: plan_kitchen(spec, split, number)
             for split, number in num_videos.items()}
    options = dict(
        version=VERSION,
        spec={k: list(v) if isinstance(v, tuple) else v
              for k, v in vars(spec).items()},
        num_videos=dict(num_videos),
        label_cues=list(label_cues))
    meta_file = osp.join(out_dir, META_FILE)
    if osp.exists(meta_file):
        old = load(meta_file)
        if old['options'] == options:
            print(f'{out_dir} already holds this set')
            return old
        if not force:
            raise FileExistsError(
                f'{meta_file} belongs to a set made with other options; '
                'choose another folder or pass --force to replace it')
        os.remove(meta_file)
        for folder in ('videos', 'annotations'):
            shutil.rmtree(osp.join(out_dir, folder), ignore_errors=True)
    videos = sum(plans.values(), [])
    for participant in {v.participant_id for v in videos}:
        mmengine.mkdir_or_exist(osp.join(out_dir, 'videos', participant))
    work = partial(make_video, spec=spec, out_dir=out_dir)
    if num_workers > 1:
        entries = mmengine.track_parallel_progress(
            work, videos, num_workers, initializer=cv2.setNumThreads,
            initargs=(1, ),
            # Twins in one process: they share the drawing of the scene.
            chunksize=spec.num_things)
    else:
        entries = mmengine.track_progress(work, videos)
    index = {v.path: entry for v, entry in zip(videos, entries)}
    write_video_index(index, osp.join(out_dir, 'epic_index.json'))
    for name, text in annotation_files(spec, plans, label_cues).items():
        put_text(text, osp.join(out_dir, 'annotations', name))
    # Last: its presence says that the set is complete.
    meta = dict(
        options=options,
        verbs=list(VERBS),
        nouns=list(spec.nouns),
        clip_seconds=spec.clip_seconds,
        chance=1 / spec.num_things,
        uses=list_uses(spec, plans, label_cues))
    dump(meta, meta_file)
    return meta


def main(argv=None):
    """Makes a set by the command line."""
    args = parse_args(argv)
    start = time.time()
    spec = KitchenSpec(
        num_things=args.num_things,
        clips_per_video=args.clips_per_video,
        size=args.size,
        seed=args.seed)
    num_videos = {s: getattr(args, f'{s}_videos') for s in SPLITS}
    meta = make_generated(args.out_dir, spec, num_videos, args.num_workers,
                          args.force, args.label_cues)
    for split, number in num_videos.items():
        uses = sum(use['split'] == split for use in meta['uses'])
        print(f'{split}: {number} videos of {spec.clips_per_video} clips of '
              f'{spec.clip_seconds:g} s, {uses} uses')
    print(f'verbs: {", ".join(meta["verbs"])}; nouns: '
          f'{", ".join(meta["nouns"])}; noun of a use by chance '
          f'{meta["chance"]:.0%}; {time.time() - start:.1f} s')


if __name__ == '__main__':
    main()
