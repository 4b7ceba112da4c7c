# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Make LongCue, a set of long videos that need memory.

    python tools/data/make_longcue.py data/longcue

writes ``{train,val}/longcue_00000.mp4`` ..., the lists
``{train,val}_segments.txt`` (``path start end label``, seconds; for validation
only the clips with a question are labelled, for training the clips that show
a cue, too), ``longcue_index.json`` (frame counts, for ``index_file``) and
``longcue_meta.json`` (options, class names, and for every question its video,
clip, delay, label and cue clip).
"""
import argparse
import os
import os.path as osp
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import cv2
import mmengine
import numpy as np
from mmengine.fileio import dump, load, put_text

from mmaction_memvit.datasets.longcue import (
    LongCueSpec,
    VideoPlan,
    plan_videos,
    question_table,
    render_video,
    segment_lines,
)
from mmaction_memvit.datasets.video_index import probe_video, write_video_index

META_FILE = 'longcue_meta.json'
INDEX_FILE = 'longcue_index.json'
# To be raised when the same options give other videos or lists.
VERSION = 1
# Grey levels by which the brightness of a decoded video may differ from what
# was drawn, in the mean. Quantisation costs 2 to 4.
MAX_ERROR = 8.0


def parse_args() -> argparse.Namespace:
    default = LongCueSpec()
    parser = argparse.ArgumentParser(
        description='Make LongCue: long videos with a cue and, clips later, '
        'a question that only a model with memory can answer',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('out_dir', help='folder to write to')
    parser.add_argument(
        '--train-videos',
        type=int,
        default=128,
        help='training videos, a multiple of --num-cues')
    parser.add_argument(
        '--val-videos',
        type=int,
        default=64,
        help='validation videos, a multiple of --num-cues')
    parser.add_argument(
        '--clips-per-video',
        type=int,
        default=default.clips_per_video,
        help='clips in a video, at least max_delay * (max_delay + 3) / 2')
    parser.add_argument(
        '--num-cues',
        type=int,
        default=default.num_cues,
        help='number of classes, 2 to 8')
    parser.add_argument(
        '--max-delay',
        type=int,
        default=default.max_delay,
        help='longest distance from cue to question in clips')
    parser.add_argument(
        '--clip-len',
        type=int,
        default=default.clip_len,
        help='frames a model samples from a clip')
    parser.add_argument(
        '--frame-interval',
        type=int,
        default=default.frame_interval,
        help='video frames from one sampled frame to the next')
    parser.add_argument(
        '--size',
        type=int,
        default=default.size,
        help='height and width in pixels, a multiple of 32')
    parser.add_argument(
        '--fps',
        type=float,
        default=None,
        help='frames per second; when left out, a clip lasts one second')
    parser.add_argument(
        '--label-cues',
        choices=('none', 'train', 'all'),
        default='train',
        help='lists in which the clips that show a cue are labelled, too: '
        'without these a small model takes long to find out what to remember')
    parser.add_argument(
        '--interfere',
        action='store_true',
        help='earlier cues may lie within max-delay clips of a question: the '
        'latest counts')
    parser.add_argument(
        '--seed', type=int, default=default.seed, help='random seed')
    parser.add_argument(
        '--num-workers',
        type=int,
        default=min(8, os.cpu_count() or 1),
        help='processes; 0 or 1 works in this one')
    parser.add_argument(
        '--force',
        action='store_true',
        help='replace a set that was made with other options')
    return parser.parse_args()


def write_video(path: str, frames: np.ndarray, fps: float,
                keyframe_interval: int) -> None:
    """Write an .mp4 file (MPEG-4, constant quantiser).

    A later frame must not carry traces of a cue. With OpenCV's writer it
    does: frames predicted from one another and rate control leave a ghost of
    up to 16 grey levels in later clips, enough to cheat. Here every clip
    starts with a key frame and the quantiser never changes, so what a clip
    decodes to depends on that clip alone.

    Args:
        path (str): File to write.
        frames (np.ndarray): RGB frames of shape (N, H, W, 3), uint8.
        fps (float): Frames per second.
        keyframe_interval (int): Frames from one key frame to the next.

    Raises:
        ImportError: If PyAV is missing.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError('LongCue videos are written with PyAV, which is '
                          'missing; run `pip install av`') from error
    with av.open(path, 'w') as container:
        stream = container.add_stream(
            'mpeg4', rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = 'yuv420p'
        # A scene cut must not move the key frames; one thread and no B-frames
        # keep the file the same everywhere and seeking cheap.
        stream.options = {
            'qmin': '2',
            'qmax': '2',
            'bf': '0',
            'sc_threshold': '1000000000'
        }
        stream.codec_context.gop_size = keyframe_interval
        stream.codec_context.thread_count = 1
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(frame), format='rgb24')
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def read_video(path: str) -> np.ndarray:
    """Read all frames of a video with OpenCV.

    Args:
        path (str): The file.

    Returns:
        np.ndarray: RGB frames of shape (N, H, W, 3), uint8; N is 0 if
        nothing could be read.
    """
    capture, frames = cv2.VideoCapture(path), []
    while True:
        more, frame = capture.read()
        if not more:
            break
        frames.append(frame[..., ::-1])
    capture.release()
    return np.array(frames, np.uint8)


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
        spec.frame_rate, spec.clip_frames)


def store_video(path: str, frames: np.ndarray, fps: float,
                keyframe_interval: int) -> dict[str, Any]:
    """Write a video and check that it reads back as drawn.

    Args:
        path (str): File to write.
        frames (np.ndarray): RGB frames of shape (N, H, W, 3), uint8.
        fps (float): Frames per second.
        keyframe_interval (int): Frames from one key frame to the next.

    Returns:
        dict: The video's entry in the index of frame counts.

    Raises:
        RuntimeError: If the written file decodes to something else.
    """
    write_video(path, frames, fps, keyframe_interval)
    decoded = read_video(path)
    if len(decoded) != len(frames):
        raise RuntimeError(
            f'{path}: wrote {len(frames)} frames but read {len(decoded)}; '
            'check the disk space and the FFmpeg of PyAV and OpenCV')
    # In brightness: colours are stored at half the resolution.
    error = np.abs(decoded.mean(-1) - frames.mean(-1)).mean()
    if error > MAX_ERROR:
        raise RuntimeError(
            f'{path}: decoded frames differ from the drawn ones by '
            f'{error:.1f} grey levels (at most {MAX_ERROR:.1f}); check the '
            'FFmpeg of PyAV and OpenCV')
    return probe_video(path)


def make_videos(work: Callable[[Any], dict[str, Any]],
                plans: Sequence[Any],
                names: Sequence[str],
                index_file: str,
                num_workers: int,
                chunksize: int = 1) -> None:
    """Make videos, in several processes, and write their index.

    Args:
        work (Callable): Makes the video of a plan; returns its entry.
        plans (Sequence): The plans.
        names (Sequence[str]): What the videos are called in the index.
        index_file (str): File to write.
        num_workers (int): Processes; 0 or 1 works in this one.
        chunksize (int): Plans that go to one process together. Defaults to 1.
    """
    if num_workers > 1:
        entries = mmengine.track_parallel_progress(
            work,
            plans,
            num_workers,
            initializer=_limit_threads,
            chunksize=chunksize)
    else:
        entries = mmengine.track_progress(work, plans)
    write_video_index(dict(zip(names, entries)), index_file)


def _limit_threads() -> None:
    cv2.setNumThreads(1)


def _check_existing(meta_file: str, meta: dict[str, Any],
                    force: bool) -> bool:
    """Tell whether the set is there already, made with the same options."""
    if not osp.exists(meta_file):
        return False
    old = load(meta_file)
    if old == meta:
        return True
    if not force:

        def options(data: dict[str, Any]) -> dict[str, Any]:
            return {
                **data.get('spec', {}),
                'label_cues': data.get('label_cues'),
                **{
                    f'{name}_videos': len(split['videos'])
                    for name, split in data.get('splits', {}).items()
                }
            }

        before, now = options(old), options(meta)
        changed = ', '.join(f'{name}: {before.get(name)} -> {now[name]}'
                            for name in now
                            if before.get(name) != now[name])
        raise FileExistsError(
            f'{meta_file} belongs to a set made with other options '
            f'({changed or "or by another version"}); choose another folder '
            'or pass --force to replace it')
    # Videos of the old set that the new one lacks would only confuse.
    for split in old.get('splits', {}).values():
        for name in split['videos']:
            path = osp.join(osp.dirname(meta_file), name)
            if osp.isfile(path):
                os.remove(path)
    os.remove(meta_file)
    return False


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
    meta_file = osp.join(out_dir, META_FILE)
    if _check_existing(meta_file, meta, force):
        print(f'{out_dir} already holds this LongCue set')
        return meta
    _make_videos(out_dir, spec, sum(plans.values(), []), num_workers)
    for split, split_plans in plans.items():
        with_cues = label_cues in ('all', split)
        lines = [
            line for plan in split_plans
            for line in segment_lines(spec, plan, with_cues)
        ]
        put_text('\n'.join(lines) + '\n',
                 osp.join(out_dir, meta['splits'][split]['ann_file']))
    # Last: its presence says that the set is complete.
    dump(meta, meta_file, indent=1)
    return meta


def _make_videos(out_dir: str, spec: LongCueSpec, plans: Sequence[VideoPlan],
                 num_workers: int) -> None:
    for folder in {osp.dirname(plan.name) for plan in plans}:
        mmengine.mkdir_or_exist(osp.join(out_dir, folder))
    make_videos(
        partial(make_video, spec=spec, out_dir=out_dir),
        plans, [plan.name for plan in plans],
        osp.join(out_dir, INDEX_FILE),
        num_workers,
        # Twins in one process: they share the drawing of the scene.
        chunksize=spec.num_cues)


def main() -> None:
    args = parse_args()
    start = time.time()
    spec = LongCueSpec(
        num_cues=args.num_cues,
        max_delay=args.max_delay,
        clips_per_video=args.clips_per_video,
        clip_len=args.clip_len,
        frame_interval=args.frame_interval,
        size=args.size,
        fps=args.fps,
        seed=args.seed,
        separate=not args.interfere)
    meta = make_longcue(
        args.out_dir,
        spec,
        {
            'train': args.train_videos,
            'val': args.val_videos
        },
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
          f'{meta["chance"]:.0%}; {time.time() - start:.1f} s')


if __name__ == '__main__':
    main()
