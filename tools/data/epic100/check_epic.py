# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Checks a download of EPIC-KITCHENS-100 against the annotations.

Says which videos or frame folders are missing, which cannot be decoded, and
whether they have the frames that EPIC_100_video_info.csv and the segments
lead to expect. Ends with exit code 1 if something is wrong. What an earlier
--index says of files that are still as large is kept, so that an interrupted
run goes on, and several lists can be indexed one after the other.

Videos are found by their name whatever folder and suffix they have
(P01/videos/P01_01.MP4), frame folders where the data sets look for them.
"""
import os.path as osp
import sys

from mmaction_memvit.annotations.epic import read_epic_segments
from mmaction_memvit.annotations.epic_lists import (
    NOMINAL_RATES,
    read_epic_video_info,
)
from mmaction_memvit.command_line import exit_code, make_parser
from mmaction_memvit.datasets.epic import PLACES
from mmaction_memvit.messages import first_names

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
    add('--index', help='JSON file for the frame counts, which data sets take '
        'as index_file')
    return parser.parse_args(argv)


def read_lists(args):
    """By video: seconds that its segments need, and where it may be."""
    stops, places = {}, {}
    for name in args.lists:
        table = read_epic_segments(name, fps=args.fps, num_verbs=10**6,
                                   num_nouns=10**6, reversed_times='swap')
        for video, rows in table.rows_by_video.items():
            stops[video] = max(stops.get(video, 0.), table.stops[rows].max())
            places[video] = [
                x.format(video=video, participant=table.participant_ids[
                    rows[0]]) for x in PLACES[bool(args.frames)]]
    return stops, places


def compare(args, entry, info, stop):
    """What does not fit the annotations, as one text; '' if all does."""
    num = entry['num_frames']
    fps = entry['fps'] or (info.fps if info else 0)
    found = []
    if info is None and args.video_info:
        found.append('not in the video list')
    elif info is not None:
        rates = (info.fps, *NOMINAL_RATES) if args.frames else (info.fps, )
        if args.frames:
            fps = info.frame_rate(num)
        elif abs(fps - info.fps) > 0.01:
            found.append(f'{fps:g} frames per second, the list says '
                         f'{info.fps:g}')
        if abs(num / fps - info.duration) > args.tolerance:
            expected = ', '.join(f'{info.duration * r:.0f} at {r:g}'
                                 for r in rates)
            found.append(f'{num} frames, but expected are {expected} frames '
                         'per second')
            fps = fps if args.videos else info.fps
    if fps and stop > num / fps + args.tolerance:
        found.append(f'ends after {num / fps:.2f} s, but a segment goes to '
                     f'{stop:.2f} s')
    return '; '.join(found)


@exit_code
def main(argv=None):
    """Checks a download; returns the exit code."""
    args = parse_args(argv)
    stops, places = read_lists(args)
    infos = read_epic_video_info(args.video_info) if args.video_info else {}
    good, wrong = checking.check(
        args, args.index, places, lambda name, entry: compare(
            args, entry, infos.get(name), stops[name]), anywhere=True)
    rates = {}
    for video in good.keys() & infos.keys() if args.frames else ():
        rate = infos[video].frame_rate(good[video]['num_frames'])
        rates.setdefault(rate, []).append(video)
    for rate, videos in sorted(rates.items()):
        print(f'  {rate:g} frames per second: {first_names(sorted(videos))}')
    return checking.summary(wrong, len(stops))


if __name__ == '__main__':
    sys.exit(main())
