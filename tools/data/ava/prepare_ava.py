# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Checks AVA, or data of its form, and counts the frames of its videos.

Give the folder of the official annotations, or CSV files, and the folder of
the videos (whole films or 15-minute cuts, of any suffix) or of MMAction2's
frame folders. The tool

- reads all annotations as OnlineAVADataset does, and tells numbers of videos,
  keyframes, boxes and labels,
- counts the frames of the videos by reading them, and writes the index file
  that the dataset takes as ``index_file``. What is in it is kept as long as
  the file has the same size, so that an interrupted run goes on where it was,
- names missing, broken and too short videos,
- says which ``timestamp_start`` fits.
"""
import os.path as osp
import re
import sys
from functools import partial
from glob import escape, glob

import numpy as np

from mmaction_memvit.annotations.ava import read_ava_boxes, read_exclusions
from mmaction_memvit.annotations.class_names import read_label_map
from mmaction_memvit.command_line import exit_code, make_parser
from mmaction_memvit.messages import first_names
from mmaction_memvit.video.find import count_frame_images
from mmaction_memvit.video.frames import Clock

# The tools beside this one and above, however it was started.
sys.path[:0] = [osp.dirname(osp.dirname(osp.abspath(__file__)))]
import checking  # noqa: E402

# Official files that are no annotations; PySlowFast's person boxes are called
# ava_detection_train_boxes_and_labels_include_negative.csv and the like.
_OTHER_FILES = re.compile(
    'excluded_timestamps|included_timestamps|predicted_boxes|ava_detection_|'
    'file_names')
_CUT_START = 900


def parse_args(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('annotations', nargs='+', metavar='ANNOTATIONS',
        help='folder of the official files, or CSV files')
    checking.add_source(parser)
    add('--out', required=True, help='the index to write')
    add('--exclude', nargs='*',
        help='files of excluded timestamps, if not those beside the '
        'annotations')
    add('--num-classes', type=int, default=81, help='greatest class + 1')
    add('--keyframe-rate', type=float, default=1.,
        help='timestamps per second')
    add('--timestamp-start', type=int,
        help='timestamp of the first frame; found out if left out')
    add('--fps', type=float, default=30., help='frame rate of frame folders')
    add('--filename-tmpl', default='img_{:05}.jpg', help='names of frames')
    add('--start-index', type=int, default=1, help='number of the first frame')
    add('--skip-bad-rows', action='store_true',
        help='go on when annotations have bad rows, and count them')
    add('--strict', action='store_true',
        help='end with exit code 1 if a video is missing, broken, damaged or '
        'too short')
    args = parser.parse_args(argv)
    if not min(args.keyframe_rate, args.fps) > 0:
        parser.error(f'--keyframe-rate {args.keyframe_rate} and --fps '
                     f'{args.fps} must be above 0')
    return args


def find_files(args):
    """Annotation files, files of excluded timestamps and label maps."""
    folders = [p for p in args.annotations if osp.isdir(p)]
    files = [p for p in args.annotations if p not in folders]
    excluded, maps = [], []
    for folder in folders or {osp.dirname(p) for p in files}:
        found = sorted(glob(osp.join(escape(folder or '.'), '*.csv')))
        excluded += [p for p in found if 'excluded_timestamps' in p]
        if folder in folders:
            maps += sorted(glob(osp.join(escape(folder), '*.pbtxt')))
            others = [p for p in found if _OTHER_FILES.search(osp.basename(p))]
            files += [p for p in found if p not in others]
            others = sorted(set(others) - set(excluded))
            if others:
                print('no annotations by their names, passed over: '
                      f'{", ".join(others)}; to read one, name it')
    if args.exclude is not None:
        excluded = args.exclude
    if not files:
        raise ValueError(
            f'{args.annotations} holds no CSV file of annotations. Remedy: '
            'download them from the page of AVA, or name the files')
    return files, excluded, maps


def check_annotations(args):
    """Reads and reports the annotations; returns timestamps by video."""
    files, excluded, maps = find_files(args)
    policy = 'skip' if args.skip_bad_rows else 'error'
    exclusions = {p: read_exclusions(p) for p in excluded}
    all_excluded = set().union(*exclusions.values())
    times = {}
    for path in files:
        boxes = read_ava_boxes(path, args.num_classes, bad_rows=policy)
        keys = boxes.keys()
        dropped = sum(k in all_excluded for k in keys)
        sizes = boxes.table.counts
        labels = np.unique(boxes.labels)
        print(f'{path}: {len(boxes.videos)} videos, {len(keys)} keyframes '
              f'({dropped} of them excluded), {sizes.sum()} boxes, '
              f'{len(boxes.labels)} labels')
        if len(labels):
            print(f'  {len(labels)} classes, {labels.min()} to '
                  f'{labels.max()}; boxes of a keyframe: {sizes.min()} to '
                  f'{sizes.max()}, {sizes.mean():.2f} on average')
        print(f'  timestamps: {boxes.timestamp.min()} to '
              f'{boxes.timestamp.max()}')
        for what, num in boxes.skipped.items():
            print(f'  {what}: {num}')
        empty = [v for i, v in enumerate(boxes.videos)
                 if not sizes[boxes.video == i].sum()]
        if empty:
            print(f'  videos without any box: {len(empty)}: '
                  f'{first_names(empty)}')
        for i, video in enumerate(boxes.videos):
            times.setdefault(video, []).append(
                boxes.timestamp[boxes.video == i])
    for path, keys in exclusions.items():
        print(f'{path}: {len(keys)} excluded timestamps of '
              f'{len({v for v, _ in keys})} videos')
    for path in maps:
        names = read_label_map(path)
        print(f'{path}: {len(names)} classes, {min(names)} to {max(names)}')
    return {v: np.concatenate(t) for v, t in times.items()}


def probe_folder(path, decode, args):
    """The entry of a frame folder, counted with few looks into it."""
    num = count_frame_images(path, args.filename_tmpl, args.start_index)
    return dict(num_frames=num, fps=args.fps,
                **{} if num else dict(problem='no frames of this name'))


def report_start(args, good, times):
    """Says which timestamp_start fits; returns the videos that do not."""
    if not good:
        return {}
    starts = [args.timestamp_start]
    if args.timestamp_start is None:
        least = min(int(t.min()) for t in times.values())
        # 0 first: with a start that is too late all long films seem to fit.
        starts = [0, *(s for s in (_CUT_START, ) if s <= least)]
    outside = {s: {} for s in starts}
    for start, found in outside.items():
        for video, entry in good.items():
            frames = Clock(entry).nearest(
                (times[video] - start) / args.keyframe_rate)
            num = np.sum((frames < 0) | (frames >= entry['num_frames']))
            if num:
                found[video] = int(num)
        print(f'  timestamp_start={start}: {sum(found.values())} of '
              f'{sum(len(times[v]) for v in good)} keyframes, of '
              f'{len(found)} videos, are after the end')
    # The first one that fits nearly as many videos as the best.
    most = max(len(good) - len(x) for x in outside.values())
    best = next(s for s in starts if len(good) - len(outside[s])
                >= most - 0.05 * len(good))
    short = outside[best]
    print(f'  timestamp_start={best} fits' if len(short) < len(good) else
          '  No timestamp_start fits. Are these the right videos, and is '
          f'--keyframe-rate {args.keyframe_rate:g} right?')
    ends = {v: best + good[v]['num_frames'] / good[v]['fps']
            * args.keyframe_rate for v in short}
    checking.print_groups({'too short': {
        v: f'ends at timestamp {ends[v]:.1f}, last keyframe at '
        f'{times[v].max()}, {num} keyframes after the end'
        for v, num in short.items()}})
    others = [v for v in short if any(v not in x for x in outside.values())]
    if others:
        print(f'  {len(others)} of these fit another timestamp_start than '
              f'the rest: {first_names(others)}. Whole films and cuts cannot '
              'be mixed in one dataset')
    return short


@exit_code
def main(argv=None):
    """Checks the data and builds the index; returns the exit code."""
    args = parse_args(argv)
    times = check_annotations(args)
    good, wrong = checking.check(
        args, args.out, {v: [v] for v in times}, lambda name, entry: '',
        probe=partial(probe_folder, args=args))
    wrong.update(report_start(args, good, times))
    return checking.summary(wrong, len(times)) * args.strict


if __name__ == '__main__':
    sys.exit(main())
