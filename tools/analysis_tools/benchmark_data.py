# Copyright (c) mmaction_memvit contributors. All rights reserved.
r"""Do the data keep up with the model? Clips a second of a data loader worker.

    python tools/analysis_tools/benchmark_data.py
    python tools/analysis_tools/benchmark_data.py --need 506 138
    python tools/analysis_tools/benchmark_data.py --config CONFIG.py \
        --split val

Writes videos, reads them by the data set and pipeline of a config, and tells
what each step costs a clip and, of models that take --need clips a second (see
benchmark_memvit.py), how many workers they want.
"""
import argparse
import math
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

import numpy as np
from benchmark_memvit import set_up
from benchmarking import markdown
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmaction_memvit.command_line import make_parser

CONFIG = (
    Path(__file__).resolve().parents[2] / 'configs/recognition/memvit/'
    'memvit-small-p244-m2_k400-pre_8xb8-16x4x1-30e_kinetics400-rgb.py')
FPS = 30
NUM_VIDEOS, SECONDS = 4, 10


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('--config', default=str(CONFIG),
        help='of a data set that reads a list of videos\n'
        '(default: MeMViT-16, 16x4, on Kinetics-400)')
    add('--split', default='train', choices=['train', 'val'])
    add('--video-size', type=int, nargs=2, default=[320, 240],
        metavar=('WIDTH', 'HEIGHT'), help='in pixels (default: 320 240)')
    add('--codec', default='libx264', help='by FFmpeg (default: libx264)')
    add('--need', type=float, nargs='+', default=[], metavar='CLIPS',
        help='clips a second that models take')
    add('--out', help='also write the tables to this file')
    return parser.parse_args()


def write_video(path: Path, args: argparse.Namespace, seed: int) -> None:
    """A picture that moves, with grain: about as hard to read as a film."""
    import av
    width, height = args.video_size
    rng = np.random.default_rng(seed)
    scene = rng.integers(0, 256, (height // 8 + 9, width // 8 + 9, 3))
    scene = np.kron(scene, np.ones((8, 8, 1))).astype(np.int16)
    with av.open(str(path), 'w') as out:
        stream = out.add_stream(args.codec, rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p'
        for i in range(SECONDS * FPS):
            x, y = (int(30 + 30 * f(i / 20)) for f in (math.sin, math.cos))
            image = scene[y:y + height, x:x + width]
            image = image + rng.integers(-6, 7, image.shape)
            frame = av.VideoFrame.from_ndarray(
                image.clip(0, 255).astype(np.uint8), format='rgb24')
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def build_dataset(cfg: Config, args: argparse.Namespace,
                  folder: Path) -> object:
    """The config's data set on videos of our own."""
    lines = []
    for i in range(NUM_VIDEOS):
        write_video(folder / f'v{i}.mp4', args, i)
        lines.append(f'v{i}.mp4 0')
    (folder / 'videos.txt').write_text('\n'.join(lines) + '\n')
    dataset = cfg[f'{args.split}_dataloader'].dataset
    dataset.update(ann_file=str(folder / 'videos.txt'),
                   data_prefix=dict(video=str(folder)))
    for key in ('index_file', 'data_root'):
        dataset.pop(key, None)
    return DATASETS.build(dataset)


class Timed:
    """A transform that adds up its seconds."""

    def __init__(self, transform: Callable) -> None:
        self.transform, self.seconds = transform, 0.

    def __call__(self, results: dict) -> dict:
        start = time.perf_counter()
        results = self.transform(results)
        self.seconds += time.perf_counter() - start
        return results


def read_all(dataset: object) -> tuple:
    """Milliseconds a clip of each step, in streams' order, and a clip."""
    dataset[0]
    steps = [Timed(x) for x in dataset.pipeline.transforms]
    dataset.pipeline.transforms[:] = steps
    start = time.perf_counter()
    for i in range(len(dataset)):
        sample = dataset[i]
    total = (time.perf_counter() - start) * 1e3 / len(dataset)
    costs: Dict[str, float] = {}
    for step in steps:
        name = type(step.transform).__name__
        costs[name] = costs.get(name, 0) + step.seconds * 1e3 / len(dataset)
    costs['everything else'] = max(0., total - sum(costs.values()))
    return costs, total, sample


def main() -> None:
    args = parse_args()
    # As in a worker.
    set_up('cpu', threads=1)
    init_default_scope('mmaction')
    cfg = Config.fromfile(args.config)
    with tempfile.TemporaryDirectory() as folder:
        dataset = build_dataset(cfg, args, Path(folder))
        costs, total, sample = read_all(dataset)
    inputs, rate = sample['inputs'], 1e3 / total
    texts = [
        f'{args.split} pipeline of {Path(args.config).name}; {args.codec} of '
        f'{"x".join(map(str, args.video_size))}, {len(dataset)} clips; '
        f'{rate:.1f} clips/s a worker',
        f'a clip is {str(inputs.dtype).split(".")[-1]} of '
        f'{tuple(inputs.shape)}, {inputs.nbytes / 2**20:.2f} MiB',
        markdown(['in a worker', 'ms a clip', 'share'],
                 *[[name, f'{x:.2f}', f'{x / total:.0%}']
                   for name, x in costs.items()])]
    if args.need:
        workers = max(1, cfg[f'{args.split}_dataloader'].num_workers)
        texts.append(markdown(
            ['model, clips/s', 'workers needed', f'{workers} workers, clips/s',
             'what limits'],
            *[[f'{need:.1f}', f'{math.ceil(need / rate)}',
               f'{rate * workers:.1f}',
               'the data' if rate * workers < need else 'the model']
              for need in args.need]))
    print('\n\n'.join(texts))
    if args.out:
        Path(args.out).write_text('\n\n'.join(texts) + '\n')


if __name__ == '__main__':
    main()
