# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The check of a download, which tools do for one set each."""
import os
import os.path as osp
import re
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
        help='processes')
    parser.add_argument(
        '--decode', action='store_true',
        help='decode every frame, which also finds damage in the middle of a '
        'file (slow)')


def check(args, index_file, places, compare, anywhere=False, probe=None):
    """Looks for videos, counts their frames and tells what is wrong.

    ``places`` are paths from the folder at which a video may be, by its name;
    video files may be ``anywhere`` under it. ``compare`` tells what does not
    fit the annotations, of name and entry, '' if all does. ``probe`` makes
    the entry of a frame folder; None is :func:`probe_frames`.

    Returns entries of what can be read, and names of what is not in order.
    """
    root = args.videos or args.frames
    if not osp.isdir(root):
        raise FileNotFoundError(f'{root!r} is no folder')
    if index_file and not (args.videos or probe):
        raise ValueError('--index needs --videos: folders have no rate')
    found = find_videos(places, root, anywhere) if args.videos else {
        name: there for name, paths in places.items()
        if (there := [p for p in paths if osp.isdir(osp.join(root, p))])}
    packed = {name: any(osp.exists(osp.join(root, f'{p}.tar')) for p in paths)
              for name, paths in places.items() if name not in found}
    files = {name: paths[0] for name, paths in found.items()}
    index = earlier_index(index_file)
    num = update_index(
        index, {x: osp.join(root, x) for x in files.values()}, index_file,
        args.num_workers, args.decode,
        probe_video if args.videos else probe or probe_frames)
    if num:
        print(f'{index_file}: {num} videos are known already')
    entries = {name: index[file] for name, file in files.items()}
    good = {name: e for name, e in entries.items() if e['num_frames']}
    hours = sum(e['num_frames'] / e['fps'] for e in good.values()
                if e['fps']) / 3600
    print(f'{len(entries)} of {len(places)} are there, '
          f"{sum(e['num_frames'] for e in good.values())} frames, "
          f'{hours:.4g} h')
    print_kinds(good)
    groups = {
        'missing': {name: 'only a .tar file, unpack it' * packed[name]
                    for name in packed},
        'found more than once, which data sets do not take': {
            name: ', '.join(paths) for name, paths in found.items()
            if len(paths) > 1},
        'not decodable': {name: e['problem'] for name, e in entries.items()
                          if name not in good},
        'damaged or incomplete; what can be read will be used': {
            name: e['problem'] for name, e in good.items() if 'problem' in e},
        'other than the annotations say': {
            name: text for name, e in good.items()
            if (text := compare(name, e))}}
    print_groups(groups)
    return good, {name for group in groups.values() for name in group}


def summary(wrong, num):
    """Tells whether all is in order; the exit code."""
    print(f'{len(wrong)} of {num} are not in order' if wrong else
          'All in order')
    return int(bool(wrong))


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


def print_kinds(entries):
    """Prints the most frequent rates and sizes of videos, and how often."""
    for what, values in (
        ('frames per second', [f"{e['fps']:.4g}" for e in entries.values()]),
        ('size', [f"{e['width']}x{e['height']}" for e in entries.values()
                  if 'width' in e])):
        counts = Counter(values)
        shown = ', '.join(f'{k} ({n})' for k, n in counts.most_common(5))
        print(f'  {what}: {shown}' + ', ...' * (len(counts) > 5))


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
