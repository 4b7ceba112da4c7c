# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Finds out when the frames of videos are shown, once, for all datasets.

Writes a JSON file that datasets take as ``index_file``: {video: {num_frames,
fps, width, height, size, table}}, of the videos of some lists, or of all in a
folder, whatever the dataset. Files are read through, as headers are not to be
trusted. What is already in the output is kept
as long as the file has the same size or is not there now, so that an
interrupted run goes on where it was, and a longer list costs only what is new.
"""
import os.path as osp
import sys

from mmaction_memvit.annotations.video_list import FORMATS, read_video_list
from mmaction_memvit.command_line import make_parser
from mmaction_memvit.messages import first_names
from mmaction_memvit.video.find import check_on_disk, list_videos
from mmaction_memvit.video.index import (
    earlier_index,
    known_entries,
    update_index,
)

# The tool beside this one, however it was started.
sys.path[:0] = [osp.dirname(osp.abspath(__file__))]
import checking  # noqa: E402


def parse_args(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('lists', nargs='*', metavar='LIST',
        help='annotation lists; if left out all videos under --data-root, '
        'also for AVA, EPIC-KITCHENS and Charades')
    add('--data-root', default='.', help='folder that the paths start from')
    add('--out', required=True, help='the JSON file to write')
    checking.add_reading(parser)
    add('--ann-format', choices=sorted(FORMATS), default='video',
        help='; '.join(f'{k}: "{v}"' for k, v in FORMATS.items()))
    add('--delimiter', default=' ', help='between the fields of a line')
    add('--strict', action='store_true',
        help='end with exit code 1 if a video is missing, damaged or cut off')
    return parser.parse_args(argv)


def videos_of(args):
    """The paths of all lists, each once, in order."""
    if not args.lists:
        videos = list_videos(args.data_root)
        if not videos:
            raise ValueError(f'--data-root {args.data_root!r} has no videos')
        return videos
    videos = {}
    for name in args.lists:
        # Several labels a line are fine here: only the paths matter.
        rows = read_video_list(name, args.ann_format, args.delimiter,
                               multi_class=True, need_label=False)
        videos.update((row['path'], None) for row in rows)
    return list(videos)


def check_root(args):
    """Stops before a wrong folder makes all videos missing."""
    check_on_disk([args.data_root], '--data-root')
    if not osp.isdir(args.data_root):
        raise FileNotFoundError(
            f'--data-root {args.data_root!r} is no folder. Remedy: name the '
            'folder that the paths of the lists start from')


def keep_known(args):
    """Entries of an earlier run that still fit, and videos that are away."""
    if not osp.exists(args.out):
        return {}, []
    index = earlier_index(args.out)
    paths = {v: osp.join(args.data_root, v) for v in index}
    kept = known_entries(index, paths)
    # A disk may be away: what was found out is still true when it is back.
    away = [v for v, e in index.items() if e['num_frames'] and v not in kept
            and not osp.exists(paths[v])]
    print(f'{args.out}: {len(kept)} videos are known already')
    if away:
        print(f'{args.out}: the entries of {len(away)} videos are kept, whose '
              f'files are not there now: {first_names(away)}')
    kept.update((v, index[v]) for v in away)
    return kept, away


def report(args, index, videos, away):
    """Prints what was found; returns how many videos are not sound."""
    entries = {v: index[v] for v in videos if v in index}
    good = {v: e for v, e in entries.items() if e['num_frames']}
    frames = sum(e['num_frames'] for e in good.values())
    hours = sum(e['num_frames'] / e['fps'] for e in good.values()) / 3600
    print(f'\n{args.out}: {len(entries)} videos, {frames} frames, '
          f'{hours:.4g} h')
    print('  frames per second: ' + checking.most_common(
        f"{e['fps']:.4g}" for e in good.values()))
    print('  size: ' + checking.most_common(
        f"{e['width']}x{e['height']}" for e in good.values()))
    groups = {
        'variable frame rate, or a start after time 0, by so many seconds': {
            v: e['time_drift'] for v, e in good.items() if 'time_drift' in e},
        'damaged, with odd times or cut off; what can be read will be used': {
            v: e['problem'] for v, e in good.items()
            if 'problem' in e and v not in away},
        'unreadable': {
            v: e['problem'] for v, e in entries.items() if v not in good},
        'not there now, known from before': {
            v: '' for v in videos if v in away}}
    checking.print_groups(groups)
    return sum(map(len, list(groups.values())[1:]))


def main(argv=None):
    """Builds the index; returns the exit code."""
    args = parse_args(argv)
    try:
        check_root(args)
        videos = videos_of(args)
        index, away = keep_known(args)
    except (OSError, ValueError) as e:
        return checking.failed(e)
    todo = {v: osp.join(args.data_root, v) for v in videos if v not in index}
    try:
        update_index(index, todo, args.out, args.num_workers, args.decode)
    except RuntimeError as e:
        return checking.failed(e)
    except KeyboardInterrupt:
        print('\nInterrupted; run it again to go on')
        return 130
    problems = report(args, index, videos, set(away))
    if problems:
        print(f'{problems} of {len(videos)} videos are not sound')
    return int(bool(problems and args.strict))


if __name__ == '__main__':
    sys.exit(main())
