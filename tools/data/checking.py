# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What the tools share that check a download and count its frames."""
import os
import os.path as osp
import re
import sys
from collections import Counter

import cv2

from mmaction_memvit.messages import first_names
from mmaction_memvit.video import probe_video
from mmaction_memvit.video.find import find_videos
from mmaction_memvit.video.index import earlier_index, update_index

FRAME_SUFFIXES = ('.jpg', '.jpeg', '.png')


def add_source(parser):
    """Options that name the videos, and how they are read."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--videos', help='folder with video files')
    source.add_argument('--frames', help='folder with frame folders')
    add_reading(parser)


def add_reading(parser):
    """Options of how videos are read."""
    parser.add_argument(
        '--num-workers', type=int, default=min(8, os.cpu_count() or 1),
        help='processes, or threads for frame folders')
    parser.add_argument(
        '--decode', action='store_true',
        help='decode every frame, which also finds damage in the middle of a '
        'file (slow)')


def check_source(parser, args, index=None):
    """Ends if the folder is none, or an index is asked for of folders."""
    if index and not args.videos:
        parser.error('--index needs --videos')
    folder = args.videos or args.frames
    if not osp.isdir(folder):
        parser.error(f'{folder!r} is no folder')


def find_each(names, root):
    """Paths of videos by name; several files of a name are an error."""
    found = find_videos({v: [v] for v in names}, root)
    for name, paths in found.items():
        if len(paths) > 1:
            raise ValueError(f'video {name!r} fits {len(paths)} files: '
                             f'{first_names(paths)}. Remedy: keep one of '
                             'them in the folder')
    return {v: paths[0] for v, paths in found.items()}


def print_groups(groups, most=20):
    """Prints names by what is wrong with them, each with its detail.

    Many names without any detail are shown in part.
    """
    for text, group in groups.items():
        print(f'  {text}: {len(group)}')
        if len(group) > most and not any(group.values()):
            print(f'    {first_names(group, most)}')
            continue
        for name, detail in group.items():
            print(f'    {name}' + (f': {detail}' if detail else ''))


def most_common(values):
    """The most frequent values, with how often they come."""
    counts = Counter(values)
    shown = ', '.join(f'{k} ({n})' for k, n in counts.most_common(5))
    return shown + ', ...' * (len(counts) > 5)


def failed(error):
    """Tells an error; the exit code."""
    print(f'error: {error}', file=sys.stderr)
    return 2


def summary(num_wrong, num):
    """Tells whether all is in order; the exit code."""
    print(f'{num_wrong} of {num} are not in order' if num_wrong else
          'All in order')
    return int(bool(num_wrong))


def probe_frames(path, decode=False):
    """The entry of a folder with frames whose names end in a number, from 1.

    With ``decode`` all frames are decoded, else the first and the last.
    """
    entry = {'num_frames': 0, 'fps': 0., 'width': 0, 'height': 0}
    frames, empty = {}, []
    for file in os.scandir(path):
        number = re.search(r'(\d+)\.\w+$', file.name)
        if number and file.name.lower().endswith(FRAME_SUFFIXES):
            frames[int(number[1])] = file.path
            if not file.stat().st_size:
                empty.append(file.name)
    if not frames:
        return {**entry, 'problem': 'no frames such as frame_0000000001.jpg'}
    numbers = sorted(frames)
    entry['num_frames'] = len(numbers)
    problems = []
    if numbers[0] != 1 or numbers[-1] != len(numbers):
        absent = sorted(set(range(1, numbers[-1])) - set(numbers))
        problems.append(f'frames {numbers[0]} to {numbers[-1]}, '
                        f'{len(absent)} of 1 to {numbers[-1]} are not there'
                        + (f', such as {absent[:3]}' if absent else ''))
    if empty:
        problems.append(f'{len(empty)} empty files, such as {min(empty)}')
    for number in numbers if decode else {numbers[0], numbers[-1]}:
        image = cv2.imread(frames[number])
        if image is None:
            name = osp.basename(frames[number])
            problems.append(f'{name} cannot be decoded')
            break
        entry.update(height=image.shape[0], width=image.shape[1])
    if problems:
        entry['problem'] = '; '.join(problems)
    return entry


def probe_all(args, files):
    """Entries of videos or folders, by name; args.index keeps those of files.

    ``files`` are paths from the folder of the videos, by name.
    """
    root, index = args.videos or args.frames, earlier_index(args.index)
    update_index(index, {x: osp.join(root, x) for x in files.values()},
                 args.index, args.num_workers, args.decode,
                 probe_video if args.videos else probe_frames)
    return {name: index[file] for name, file in files.items()}
