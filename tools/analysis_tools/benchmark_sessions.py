#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Hours of video through one session, and several sessions as one batch.

    python tools/analysis_tools/benchmark_sessions.py
    python tools/analysis_tools/benchmark_sessions.py --device cuda
    python tools/analysis_tools/benchmark_sessions.py --config my_config.py \
        --size 340 256

Made-up video is pushed as fast as the model takes it, a second at a time.
Prints along the way what the model remembers, resident memory and the time of
a clip, all of which should stay flat, and how many clips a second sessions
give one after the other and as a batch.
"""
from __future__ import annotations

import argparse
import os
import statistics
import time

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

import numpy as np
import torch
from mmengine.config import DictAction
from mmengine.hub import get_config
from rich.progress import track

from mmaction_memvit.apis import OnlineInferencer
from mmaction_memvit.command_line import make_parser, read_config, tells_errors
from mmaction_memvit.messages import text_table

# Clips of 32 frames, of which 4 are looked at.
TINY = 'mmaction_memvit::recognition/memvit/memvit-tiny-m8_longcue-rgb.py'
TINY_INTERVAL = 8
# Parts of the stream that are compared.
PARTS = 10


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('--config', help='of a recognizer (default: a tiny MeMViT, M = 8)')
    add('--cfg-options', nargs='+', action=DictAction,
        help='settings that override those of --config, as key=value')
    add('--hours', type=float, default=2., help='of video')
    add('--fps', type=float, default=30.)
    add('--size', type=int, nargs=2, default=(32, 32),
        metavar=('WIDTH', 'HEIGHT'), help='of pictures (default: 32 32)')
    add('--sessions', type=int, default=8, help='as a batch')
    add('--rounds', type=int, default=10, help='of batches, interleaved')
    add('--device', default='cpu')
    return parser.parse_args()


def resident() -> float:
    """Resident memory of this process in MiB (Linux)."""
    with open('/proc/self/statm') as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


def clock() -> float:
    """Milliseconds of work: of the processor, or of a GPU with its host."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
        return time.perf_counter() * 1e3
    # Other programs do not slow it down.
    return time.process_time() * 1e3


def stream(inferencer: OnlineInferencer, seconds: int, frames: np.ndarray,
           fps: float) -> list[tuple]:
    """Push seconds of video.

    Returns:
        list[tuple]: For each part: hours until its end, clips, KiB that are
        remembered and MiB that are resident then, and the median of
        milliseconds a clip.
    """
    session = inferencer.session(fps=fps)
    rows, times, num_clips = [], [], 0
    for second in track(range(1, seconds + 1), f'{seconds} s of video'):
        begin = clock()
        steps = len(session.push(frames))
        if steps:
            times.append((clock() - begin) / steps)
        num_clips += steps
        if second * PARTS // seconds > (second - 1) * PARTS // seconds:
            held = sum(x.nbytes for x in (
                inferencer.memory_of(session) or {}).values()
                if torch.is_tensor(x))
            rows.append((second / 3600, num_clips, held / 2**10, resident(),
                         statistics.median(times)))
            times.clear()
    return rows


def compare(inferencer: OnlineInferencer, num: int, rounds: int,
            frames: np.ndarray, fps: float) -> tuple[float, float]:
    """Clips a second of sessions one after the other, and as a batch."""
    sessions = [inferencer.session(fps=fps) for _ in range(num)]
    rates: dict[bool, list] = {False: [], True: []}
    for turn in range(rounds + 2):
        for batched, found in rates.items():
            begin = clock()
            if batched:
                steps = sum(inferencer.push(sessions, [frames] * num), [])
            else:
                steps = sum((s.push(frames) for s in sessions), [])
            # The first rounds warm up.
            if turn > 1 and steps:
                found.append(len(steps) / (clock() - begin) * 1e3)
    return tuple(statistics.median(x) for x in rates.values())


@tells_errors
def main() -> None:
    args = parse_args()
    if args.config:
        config = read_config(args)
    else:
        config = get_config(TINY)
        config.test_dataloader.dataset.frame_interval = TINY_INTERVAL
    inferencer = OnlineInferencer(config, device=args.device)
    frames = np.random.default_rng(0).integers(
        0, 256, (round(args.fps), *args.size[::-1], 3)).astype(np.uint8)

    rows = stream(inferencer, round(args.hours * 3600), frames, args.fps)
    print(text_table([
        ('hours', 'clips', 'remembered, KiB', 'resident, MiB', 'ms a clip'),
        *((f'{hours:.2f}', clips, f'{held:.1f}', f'{memory:.1f}', f'{ms:.2f}')
          for hours, clips, held, memory, ms in rows)
    ], left=()))
    # Enough frames for a clip each time, at least.
    span = inferencer.plan.complete(1, args.fps)
    frames = np.resize(frames, (span, *frames.shape[1:]))
    alone, batched = compare(inferencer, args.sessions, args.rounds, frames,
                             args.fps)
    print(f'{args.sessions} sessions on {args.device}: {alone:.1f} clips a '
          f'second one after the other, {batched:.1f} as a batch, '
          f'{batched / alone:.2f} times')


if __name__ == '__main__':
    main()
