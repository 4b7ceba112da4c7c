#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Watch a film or a camera with a trained model, clip by clip.

    python tools/demo_online.py match.mp4 --config CONFIG \
        --checkpoint epoch_10.pth --out-dir out
    python tools/demo_online.py rtsp://10.0.0.7/door --config CONFIG ...
    python tools/demo_online.py 0 --config CONFIG ... --serve   # a camera

writes OUT/NAME.jsonl (as it comes), .csv, .mp4 (labels on the pictures), .png
(scores over time) and, of models with memory that are asked for it,
_attention.png (which remembered clips were attended to). See
docs/live_video.md.
"""
from __future__ import annotations

import argparse
import os.path as osp
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

from mmaction_memvit.annotations.class_names import (
    read_class_names,
    read_label_map,
)
from mmaction_memvit.annotations.epic_lists import (
    load_epic_actions,
    read_epic_classes,
)
from mmaction_memvit.annotations.table import read_lines
from mmaction_memvit.apis import AttentionRecorder, OnlineInferencer
from mmaction_memvit.apis.clip_plan import steady_clock
from mmaction_memvit.apis.persons import add_box_options, boxes_by_video
from mmaction_memvit.apis.processes import Bar
from mmaction_memvit.command_line import make_parser, read_config
from mmaction_memvit.video import VideoReadError, probe_video
from mmaction_memvit.video.live import Gap, LiveSource, at_rate
from mmaction_memvit.visualization.live_page import LivePage
from mmaction_memvit.visualization.online import name_of
from mmaction_memvit.visualization.online_outputs import (
    OUTPUTS,
    OnlineOutputs,
)

# Attention is computed once more to be told.
DEFAULT_OUTPUTS = ('jsonl', 'csv', 'video', 'plot')


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__, config='--config')
    add = parser.add_argument
    add('source', help='video file, folder of pictures, number of a camera, '
        'or address (rtsp://, http://)')
    add('--checkpoint', required=True, help='weights')
    add('--out-dir', help='where files go (default: none are written)')
    add('--outputs', nargs='+', choices=OUTPUTS, default=DEFAULT_OUTPUTS,
        help='which ones (default: all but attention)')
    add('--serve', action='store_true',
        help='show picture, scores and attention on a web page; a file is '
        'shown at its own pace')
    add('--address', default='127.0.0.1:8000', metavar='HOST:PORT',
        help='of the page; 0.0.0.0:PORT for other machines, too, port 0 for '
        'any that is free')
    add('--classes', nargs='+', default=[], metavar='[TASK=]FILE',
        help='names of the classes, one a line, or a label map (.pbtxt); '
        'of models with several tasks TASK=FILE for each, such as '
        'verb=EPIC_100_verb_classes.csv noun=EPIC_100_noun_classes.csv, '
        'which name actions, too')
    add_box_options(parser)
    add('--top', type=int, default=3, help='classes that are written')
    add('--realtime', action='store_true',
        help='show a file at its own pace; frames that are late are dropped, '
        'as those of cameras')
    add('--fps', type=float,
        help='frames per second of a folder (default: 30), or of a source '
        'that tells a wrong number')
    add('--sample-fps', type=float,
        help='frames per second that the config counts clips at (default: '
        'as the config says; else frames are taken as they come)')
    add('--seconds', type=float, help='end after so much of the source')
    add('--device', default='cpu')
    return parser.parse_args()


def is_live(args: argparse.Namespace) -> bool:
    """Whether pictures are shown as they come, once; no file at full speed."""
    return not osp.isfile(args.source) or bool(
        args.realtime or args.fps or args.serve)


def read_names(files: list[str], dataset: dict) -> dict[str, dict[int, str]]:
    """Names of classes by task and number.

    With verbs and nouns also of the actions of the config's test data.
    """
    names = {}
    for item in files:
        task, equals, path = item.partition('=')
        if not equals:
            task, path = '', item
        if path.endswith('.pbtxt'):
            names[task] = read_label_map(path)
        else:
            is_epic = read_lines(path)[:1] and 'id,key' in read_lines(path)[0]
            names[task] = dict(enumerate(
                (read_epic_classes if is_epic else read_class_names)(path)))
    lists = dataset.get('actions')
    if lists and {'verb', 'noun'} <= names.keys():
        root = dataset.get('data_root') or ''
        actions = load_epic_actions(
            [osp.join(root, x) for x in
             ([lists] if isinstance(lists, str) else lists)],
            **{k: dataset[k] for k in ('num_verbs', 'num_nouns')
               if k in dataset})
        both = {i: f'{name_of(names, "verb", v)} {name_of(names, "noun", n)}'
                for i, (v, n) in enumerate(actions.pairs.tolist())}
        # AVT scores nothing else, others three tasks.
        names = {'': both, 'action': both, **names}
    return names


def watch(args: argparse.Namespace, inferencer: OnlineInferencer,
          boxes: Callable | None, source: LiveSource,
          outputs: OnlineOutputs) -> Iterator[tuple]:
    """Seconds that have been watched, and clips, as they come."""
    session = inferencer.session(source.name, source.fps, boxes)
    # A picture stands for as long as a clip at most.
    start, end = inferencer.plan.seconds(0, steady_clock(source.fps))
    for image in at_rate(source, source.fps, end - start):
        if not isinstance(image, Gap):
            outputs.draw(image, session.num_frames / source.fps)
        steps = session.push([image])
        seconds = session.num_frames / source.fps
        yield seconds, steps
        if args.seconds and seconds >= args.seconds:
            break
    yield session.num_frames / source.fps, session.finish()
    told = [f'{source.num_frames} frames']
    if source.num_dropped:
        share = source.num_dropped / source.num_frames
        told.append(f'{source.num_dropped} ({share:.0%}) of them late and '
                    f'dropped, {session.num_skipped} clips skipped')
    if source.problem:
        told.append(source.problem)
    print(f'{source.name}: {", ".join(told)}')


def watch_file(args: argparse.Namespace, inferencer: OnlineInferencer,
               boxes: Callable | None, entry: dict) -> Iterator[tuple]:
    """As :func:`watch`, of a file as fast as can be."""
    for step in inferencer(args.source, boxes, entry):
        yield step.end, [step]
        if args.seconds and step.end >= args.seconds:
            break


def show(turns: Iterator[tuple], outputs: OnlineOutputs,
         total: float | None) -> float | None:
    """Take the clips, under a bar of progress.

    Returns:
        float | None: Seconds after which it was interrupted, if it was.
    """
    begin, seconds, told = time.monotonic(), 0., 'no clip'
    with Bar(total, 's') as bar:
        try:
            for seconds, steps in turns:
                speed = seconds / (time.monotonic() - begin)
                told = f'{speed:.2f} x real time'
                bar.update(seconds, told)
                for step in steps:
                    bar.say(outputs.add(step, f'{seconds:.1f} s, {told}'))
        except KeyboardInterrupt:
            # A camera is ended so; what is there is written.
            bar.say('interrupted')
            return seconds
        bar.say(f'{seconds:.1f} s, {told}')
    return None


def make_outputs(args: argparse.Namespace, dataset: dict) -> OnlineOutputs:
    """What the command line asks for."""
    stem, page = '', None
    if args.out_dir:
        Path(args.out_dir).mkdir(parents=True, exist_ok=True)
        # Whatever an address holds.
        name = re.sub(r'\W+', '_', Path(args.source).stem).strip('_')
        stem = osp.join(args.out_dir, name or 'stream')
    if args.serve:
        host, _, port = args.address.rpartition(':')
        if not port.isdigit():
            raise ValueError(f'--address {args.address} must be HOST:PORT, '
                             'such as 127.0.0.1:8000')
        page = LivePage(args.source, host or '127.0.0.1', int(port))
        print(f'showing at {page.url}', flush=True)
    return OnlineOutputs(stem, args.outputs if stem else (),
                         read_names(args.classes, dataset), args.top, page)


def look_at(args: argparse.Namespace) -> dict | None:
    """A file's entry in an index, unless pictures are shown as they come.

    What is no video is an error, before minutes go into the model.
    """
    entry = None if is_live(args) else probe_video(args.source)
    is_far = args.source.isdigit() or '://' in args.source
    if not is_far and not (entry and entry['num_frames']):
        LiveSource(args.source, args.fps)
    return entry


def run(args: argparse.Namespace, inferencer: OnlineInferencer,
        outputs: OnlineOutputs, entry: dict | None) -> None:
    """Watch the source."""
    boxes = boxes_by_video(args, inferencer)
    if entry:
        fps = entry['fps'] or 30.
        boxes = boxes and boxes(args.source, entry['fps'])
        if entry['num_frames']:
            outputs.open(fps, live=False)
        end = show(watch_file(args, inferencer, boxes, entry), outputs,
                   entry['num_frames'] / fps)
        if outputs.video:
            outputs.draw_file(args.source, end or args.seconds or float('inf'))
        return
    begin, end = inferencer.plan.seconds(0, steady_clock(args.fps or 30.))
    source = LiveSource(args.source, args.fps, args.realtime or args.serve,
                        buffer_seconds=max(2., 2 * (end - begin)))
    boxes = boxes and boxes(args.source, source.fps)
    outputs.open(source.fps, live=True)
    show(watch(args, inferencer, boxes, source, outputs), outputs,
         args.seconds)


def main() -> None:
    args = parse_args()
    problem = outputs = None
    try:
        config = read_config(args)
        entry = look_at(args)
        inferencer = OnlineInferencer(
            config, args.checkpoint, args.device, args.sample_fps,
            record_attention='attention' in args.outputs)
        if args.serve and inferencer.recorder is None:
            with suppress(ValueError):  # it attends to no memory
                inferencer.recorder = AttentionRecorder(inferencer.model)
        outputs = make_outputs(args, config.test_dataloader.dataset)
        run(args, inferencer, outputs, entry)
    except (OSError, ValueError, VideoReadError) as e:
        problem = e
    # What is there is written.
    for path in outputs.close() if outputs else ():
        print(path)
    if problem:
        raise SystemExit(f'ERROR: {problem}') from problem


if __name__ == '__main__':
    main()
