#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Watch a film or a camera with a trained model, clip by clip.

    python tools/demo_online.py match.mp4 --config CONFIG \
        --checkpoint epoch_10.pth --out-dir out
    python tools/demo_online.py rtsp://10.0.0.7/door --config CONFIG ...
    python tools/demo_online.py 0 --config CONFIG ...           # a camera

writes OUT/NAME.jsonl (as it comes), .csv, .mp4 (labels on the pictures) and
.png (scores over time). See docs/live_video.md.
"""
from __future__ import annotations

import argparse
import json
import os.path as osp
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

import pandas as pd
from mmengine.config import Config, DictAction
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mmaction_memvit.annotations.class_names import (
    read_class_names,
    read_label_map,
)
from mmaction_memvit.annotations.proposals import read_proposals
from mmaction_memvit.apis import OnlineInferencer
from mmaction_memvit.apis.clip_plan import steady_clock
from mmaction_memvit.apis.persons import (
    PersonDetector,
    PersonTracker,
    boxes_in_table,
)
from mmaction_memvit.video import VideoReadError, probe_video
from mmaction_memvit.video.live import Gap, LiveSource, at_rate
from mmaction_memvit.video.write import VideoWriter
from mmaction_memvit.visualization.online import (
    TimeLine,
    best_rows,
    draw_rows,
)

OUTPUTS = ('jsonl', 'csv', 'video', 'plot')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('source', help='video file, folder of pictures, number of a camera, '
        'or address (rtsp://, http://)')
    add('--config', required=True, help='config the model was trained with')
    add('--checkpoint', required=True, help='weights')
    add('--out-dir', help='where files go (default: none are written)')
    add('--outputs', nargs='+', choices=OUTPUTS, default=OUTPUTS,
        help='which ones (default: all)')
    add('--classes', nargs='+', default=[], metavar='[TASK=]FILE',
        help='names of the classes, one a line, or a label map (.pbtxt); '
        'of models with several tasks TASK=FILE for each')
    add('--boxes', help='detectors: person boxes (.pkl), as of '
        'tools/data/ava/convert_person_boxes.py')
    add('--person-config', help='detectors: config of an MMDetection '
        'detector that finds the persons, a file or mmdet::NAME.py')
    add('--person-checkpoint', help='its weights')
    add('--person-score', type=float, default=0.9,
        help='least score of a person (default: %(default)s)')
    add('--top', type=int, default=3,
        help='classes that are written (default: %(default)s)')
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
    add('--device', default='cpu', help='(default: %(default)s)')
    add('--cfg-options', nargs='+', action=DictAction,
        help='override settings of the config, as key=value pairs')
    return parser.parse_args()


class Outputs:
    """Files of one run, those that are asked for.

    Args:
        args (Namespace): The command line.
        fps (float): Frames per second of the video.
    """

    def __init__(self, args: argparse.Namespace, fps: float) -> None:
        self.names = read_names(args.classes)
        self.top, self.fps = args.top, fps
        self.stem = None
        if args.out_dir:
            Path(args.out_dir).mkdir(parents=True, exist_ok=True)
            # Whatever an address holds.
            name = re.sub(r'\W+', '_', Path(args.source).stem).strip('_')
            self.stem = osp.join(args.out_dir, name or 'stream')
        self.kinds = args.outputs if args.out_dir else ()
        self.rows: list[dict] = []
        # What is shown, from when on.
        self.steps: list[tuple[float, list]] = []
        self.line = TimeLine(self.names)
        self.tracker = PersonTracker()
        self.jsonl = self.video = None
        if 'jsonl' in self.kinds:
            self.jsonl = open(f'{self.stem}.jsonl', 'w', encoding='utf-8')
        if 'video' in self.kinds:
            self.video = VideoWriter(f'{self.stem}.mp4', fps)

    def add(self, step) -> str:
        """Take a clip; gives the line to be told."""
        persons = step.boxes if step.boxes is None else self.tracker(
            step.boxes)
        rows = best_rows(step, self.names, self.top, persons)
        begin = step.start if step.keyframe is None else step.keyframe
        self.steps.append((begin, rows))
        if self.jsonl:
            scores = step.scores
            json.dump(
                dict(
                    clip=step.clip,
                    start=round(step.start, 3),
                    end=round(step.end, 3),
                    scores={k: x.tolist() for k, x in scores.items()}
                    if isinstance(scores, dict) else scores.tolist(),
                    boxes=step.boxes if step.boxes is None else
                    step.boxes.tolist(),
                    persons=persons,
                    best=[{k: x[k] for k in ('task', 'person', 'name',
                                             'score')}
                          for x in rows]), self.jsonl)
            # Whoever follows the file sees it now.
            print(file=self.jsonl, flush=True)
        if 'csv' in self.kinds:
            self.rows += rows
        if 'plot' in self.kinds:
            self.line.add(step)
        told = ', '.join(f"{x['score']:.2f} {x['name']}"
                         for x in rows[:self.top])
        return f'{step.start:8.1f} - {step.end:.1f} s  {told or "nobody"}'

    def draw(self, image, seconds: float) -> None:
        """Add a picture to the video, with the last that is known of it."""
        if self.video:
            rows = self.steps[-1][1] if self.steps else []
            self.video.write(draw_rows(image, rows, f'{seconds:.1f} s'))

    def draw_file(self, path: str, end: float) -> None:
        """The video of a file whose clips are all known."""
        steps = iter(self.steps)
        now, later = [], next(steps, None)
        frames = at_rate(LiveSource(path), self.fps, float('inf'))
        for number, image in enumerate(frames):
            seconds = number / self.fps
            if seconds >= end:
                break
            while later and later[0] <= seconds:
                now, later = later[1], next(steps, None)
            self.video.write(draw_rows(image, now, f'{seconds:.1f} s'))

    def close(self) -> list[str]:
        """Write the rest; gives the paths."""
        if self.jsonl:
            self.jsonl.close()
        if self.video:
            self.video.close()
        if 'csv' in self.kinds:
            pd.DataFrame(self.rows).to_csv(f'{self.stem}.csv', index=False)
        if 'plot' in self.kinds:
            self.line.plot(f'{self.stem}.png')
        endings = dict(jsonl='jsonl', csv='csv', video='mp4', plot='png')
        return [f'{self.stem}.{endings[x]}' for x in self.kinds]


def read_names(files: list[str]) -> dict[str, dict[int, str]]:
    """Names of classes by task and number."""
    names = {}
    for item in files:
        task, equals, path = item.partition('=')
        if not equals:
            task, path = '', item
        names[task] = read_label_map(path) if path.endswith(
            '.pbtxt') else dict(enumerate(read_class_names(path)))
    return names


def boxes_of(args: argparse.Namespace, inferencer: OnlineInferencer,
             fps: float) -> Callable | None:
    """What gives the boxes of a detector: a table, or another detector."""
    if args.person_config:
        return PersonDetector(args.person_config, args.person_checkpoint,
                              args.device, args.person_score)
    if args.boxes is None:
        return None
    return boxes_in_table(
        read_proposals(args.boxes), Path(args.source).stem,
        inferencer.plan.grid, fps)


def watch(args: argparse.Namespace, inferencer: OnlineInferencer,
          source: LiveSource, outputs: Outputs) -> Iterator[tuple]:
    """Seconds that have been watched, and clips, as they come."""
    boxes = boxes_of(args, inferencer, source.fps)
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
               entry: dict) -> Iterator[tuple]:
    """As :func:`watch`, of a file as fast as can be."""
    boxes = boxes_of(args, inferencer, entry['fps'])
    for step in inferencer(args.source, boxes, entry):
        yield step.end, [step]
        if args.seconds and step.end >= args.seconds:
            break


def show(turns: Iterator[tuple], outputs: Outputs,
         total: float | None) -> float | None:
    """Take the clips, under a bar of progress.

    Returns:
        float | None: Seconds after which it was interrupted, if it was.
    """
    columns = (TextColumn('{task.completed:.0f} s'), BarColumn(),
               TextColumn('{task.fields[speed]:.2f} x real time'),
               TimeElapsedColumn(), TimeRemainingColumn())
    begin, seconds = time.monotonic(), 0.
    with Progress(*columns) as progress:
        bar = progress.add_task('', total=total, speed=0.)
        try:
            for seconds, steps in turns:
                speed = seconds / (time.monotonic() - begin)
                progress.update(bar, completed=seconds, speed=speed)
                for step in steps:
                    progress.console.print(
                        outputs.add(step), markup=False, highlight=False)
        except KeyboardInterrupt:
            # A camera is ended so; what is there is written.
            progress.console.print('interrupted')
            return seconds
    return None


def main() -> None:
    """Watch."""
    args = parse_args()
    try:
        config = Config.fromfile(args.config)
        config.merge_from_dict(args.cfg_options or {})
        inferencer = OnlineInferencer(
            config, args.checkpoint, args.device, args.sample_fps)
        if osp.isfile(args.source) and not args.realtime and not args.fps:
            entry = probe_video(args.source)
            outputs = Outputs(args, entry['fps'] or 30.)
            total = entry['num_frames'] / (entry['fps'] or 1.)
            end = show(watch_file(args, inferencer, entry), outputs, total)
            if outputs.video:
                outputs.draw_file(args.source, end or args.seconds
                                  or float('inf'))
        else:
            begin, end = inferencer.plan.seconds(
                0, steady_clock(args.fps or 30.))
            source = LiveSource(
                args.source,
                args.fps,
                args.realtime,
                buffer_seconds=max(2., 2 * (end - begin)))
            outputs = Outputs(args, source.fps)
            show(watch(args, inferencer, source, outputs), outputs,
                 args.seconds)
    except (OSError, ValueError, VideoReadError) as e:
        raise SystemExit(f'ERROR: {e}') from e
    for path in outputs.close():
        print(path)


if __name__ == '__main__':
    main()
