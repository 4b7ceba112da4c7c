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
from mmaction_memvit.command_line import exit_code, make_parser
from mmaction_memvit.video.find import check_on_disk, list_videos
from mmaction_memvit.video.index import earlier_index, update_index

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


@exit_code
def main(argv=None):
    """Builds the index; returns the exit code."""
    args = parse_args(argv)
    # Before a wrong folder makes all videos missing.
    check_on_disk([args.data_root], '--data-root')
    if not osp.isdir(args.data_root):
        raise FileNotFoundError(
            f'--data-root {args.data_root!r} is no folder. Remedy: name the '
            'folder that the paths of the lists start from')
    videos = videos_of(args)
    index = earlier_index(args.out)
    paths = {v: osp.join(args.data_root, v) for v in videos}
    num = update_index(index, paths, args.out, args.num_workers, args.decode)
    print(f'\n{args.out}: {num} videos are known already')
    good = {v: index[v] for v in videos if index[v]['num_frames']}
    frames = sum(e['num_frames'] for e in good.values())
    hours = sum(e['num_frames'] / e['fps'] for e in good.values()) / 3600
    print(f'{args.out}: {len(videos)} videos, {frames} frames, {hours:.4g} h')
    checking.print_kinds(good)
    checking.print_groups({
        'variable frame rate, or a start after time 0, by so many seconds': {
            v: e['time_drift'] for v, e in good.items() if 'time_drift' in e}})
    away = {v: '' for v in good if not osp.exists(paths[v])}
    groups = {
        'damaged, with odd times or cut off; what can be read will be used': {
            v: e['problem'] for v, e in good.items()
            if 'problem' in e and v not in away},
        'unreadable': {
            v: index[v]['problem'] for v in videos if v not in good},
        'not there now, known from before': away}
    checking.print_groups(groups)
    wrong = {v for group in groups.values() for v in group}
    return checking.summary(wrong, len(videos)) * args.strict


if __name__ == '__main__':
    sys.exit(main())
