# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Checks a download of EPIC-KITCHENS-100 against the annotations.

Says which videos or frame folders are missing, which cannot be decoded, and
whether they have the frames that EPIC_100_video_info.csv and the segments
lead to expect. Ends with exit code 1 if something is wrong. What an earlier
--index says of files that are still as large is kept, so that an interrupted
run goes on, and several lists can be indexed one after the other.

Videos are found by their name whatever folder and suffix they have
(P01/videos/P01_01.MP4), frame folders by theirs (P01/rgb_frames/P01_01/).
"""
import os.path as osp
import sys

from mmaction_memvit.annotations.epic import read_epic_segments
from mmaction_memvit.annotations.epic_lists import read_epic_video_info
from mmaction_memvit.command_line import make_parser
from mmaction_memvit.datasets.epic import NOMINAL_RATES, frame_rate
from mmaction_memvit.messages import first_names
from mmaction_memvit.video.find import find_videos, walk

# The tools beside this one and above, however it was started.
sys.path[:0] = [osp.dirname(osp.dirname(osp.abspath(__file__)))]
import checking  # noqa: E402


def parse_args(argv=None):
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('lists', nargs='+', metavar='LIST',
        help='lists of segments; their videos are checked')
    add('--video-info', help='EPIC_100_video_info.csv')
    checking.add_source(parser)
    add('--tolerance', type=float, default=0.5,
        help='seconds by which a video may be longer or shorter than the '
        'video list says')
    add('--fps', type=float, default=30., help='rate of lists without header')
    add('--index', help='with --videos: JSON file for the frame counts, which '
        'datasets take as index_file')
    args = parser.parse_args(argv)
    checking.check_source(parser, args, args.index)
    return args


def last_stops(args):
    """Seconds that every video must reach for its segments, by video."""
    stops = {}
    for name in args.lists:
        table = read_epic_segments(name, fps=args.fps, num_verbs=10**6,
                                   num_nouns=10**6, reversed_times='swap')
        for video, rows in table.rows_by_video.items():
            stops[video] = max(stops.get(video, 0.), table.stops[rows].max())
    return stops


def find_frames(root, wanted):
    """Folders of the wanted videos, and archives that are to be unpacked."""
    found, archives = {}, {}
    for folder, folders, files in walk(root):
        for name in folders:
            if name in wanted:
                found.setdefault(name, []).append(osp.join(folder, name))
        # The frames themselves need not be listed once more.
        folders[:] = [n for n in folders if n not in wanted]
        for file in files:
            name, suffix = osp.splitext(file)
            if name in wanted and suffix.lower() == '.tar':
                archives[name] = osp.join(root, folder, file)
    return found, archives


def compare(args, entry, info, stop):
    """What does not fit the annotations, as one text; '' if all does."""
    num = entry['num_frames']
    fps = entry['fps'] or (info.fps if info else 0)
    found = []
    if info is not None and args.videos:
        if abs(fps - info.fps) > 0.01:
            found.append(f'{fps:g} frames per second, the list says '
                         f'{info.fps:g}')
        expected = info.duration * info.fps
        if abs(num / fps - info.duration) > args.tolerance:
            found.append(f'{num} frames, the list leads to expect '
                         f'{expected:.0f}')
    elif info is not None:
        rates = (info.fps, *NOMINAL_RATES)
        fps = frame_rate(num, info)
        if abs(num / fps - info.duration) > args.tolerance:
            expected = ', '.join(f'{info.duration * r:.0f} at {r:g}'
                                 for r in rates)
            found.append(f'{num} frames, but expected are {expected} frames '
                         'per second')
            fps = info.fps
    if fps and stop > num / fps + args.tolerance:
        found.append(f'ends after {num / fps:.2f} s, but a segment goes to '
                     f'{stop:.2f} s')
    return '; '.join(found)


def report(args, stops, infos, found, archives, entries):
    """Prints what was found; returns how many videos are not in order."""
    missing = [v for v in stops if v not in found]
    groups = {
        'missing': {v: f'only {archives[v]}, unpack it' if v in archives
                    else '' for v in missing},
        'found more than once, the first is used':
        {v: ', '.join(paths) for v, paths in found.items() if len(paths) > 1},
        'not in the video list': {} if infos is None else
        {v: '' for v in stops if v not in infos},
        'not decodable': {v: e['problem'] for v, e in entries.items()
                          if not e['num_frames']},
        'damaged or incomplete': {v: e['problem'] for v, e in entries.items()
                                  if e['num_frames'] and 'problem' in e},
        'other frames than expected': {}}
    for video, entry in entries.items():
        info = None if infos is None else infos.get(video)
        text = entry['num_frames'] and compare(args, entry, info, stops[video])
        if text:
            groups['other frames than expected'][video] = text
    what = 'videos' if args.videos else 'frame folders'
    frames = sum(e['num_frames'] for e in entries.values())
    print(f'{len(entries)} of {len(stops)} {what} are there, {frames} frames')
    if args.frames and infos is not None:
        rates = {}
        for video, entry in entries.items():
            if video in infos and entry['num_frames']:
                rate = frame_rate(entry['num_frames'], infos[video])
                rates.setdefault(rate, []).append(video)
        for rate, videos in sorted(rates.items()):
            print(f'  {rate:g} frames per second: {first_names(videos)}')
    checking.print_groups(groups)
    return len({v for text, group in groups.items() for v in group
                if not text.startswith('found more')})


def main(argv=None):
    """Checks a download; returns the exit code."""
    args = parse_args(argv)
    try:
        stops = last_stops(args)
        infos = None
        if args.video_info:
            infos = read_epic_video_info(args.video_info)
    except (OSError, ValueError) as e:
        return checking.failed(e)
    if args.videos:
        found, archives = find_videos({v: [v] for v in stops}, args.videos,
                                      anywhere=True), {}
    else:
        found, archives = find_frames(args.frames, stops)
    files = {v: found[v][0] for v in stops if v in found}
    try:
        entries = checking.probe_all(args, files)
    except (OSError, ValueError, RuntimeError) as e:
        return checking.failed(e)
    return checking.summary(
        report(args, stops, infos, found, archives, entries), len(stops))


if __name__ == '__main__':
    sys.exit(main())
