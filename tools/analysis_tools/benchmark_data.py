# Copyright (c) mmaction_memvit contributors. All rights reserved.
r"""Do the data keep up with the model? Clips a second of a data loader worker.

    python tools/analysis_tools/benchmark_data.py
    python tools/analysis_tools/benchmark_data.py --need 506 138
    python tools/analysis_tools/benchmark_data.py --config CONFIG.py \
        --split val --device cuda

Writes videos, reads them by the data set and pipeline of a config, and tells
what each step costs a clip and how many workers a model wants. What the model
needs is measured on --device if --need does not tell. A GPU's share, copying
and normalising uint8 clips, is measured there too.
"""
import argparse
import math
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

import numpy as np
import torch
from benchmark_memvit import set_up
from benchmarking import markdown
from benchmarking.runs import Bench, Group
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope

CONFIG = (
    Path(__file__).resolve().parents[2] / 'configs/recognition/memvit/'
    'memvit-small-p244-m2_k400-pre_8xb8-16x4x1-30e_kinetics400-rgb.py')
FPS = 30


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--config', default=str(CONFIG),
        help='of a data set that reads a list of videos\n'
        '(default: MeMViT-16, 16x4, on Kinetics-400)')
    parser.add_argument('--split', default='train', choices=['train', 'val'])
    parser.add_argument('--video-size', type=int, nargs=2, default=[320, 240],
        metavar=('WIDTH', 'HEIGHT'), help='in pixels (default: 320 240)')
    parser.add_argument(
        '--codec', default='libx264', help='by FFmpeg (default: libx264)')
    parser.add_argument(
        '--seconds', type=int, default=10, help='of a video (default: 10)')
    parser.add_argument(
        '--num-videos', type=int, default=4, help='(default: 4)')
    parser.add_argument('--need', type=float, nargs='+', metavar='CLIPS',
        help='clips a second that models take (default: measured)')
    parser.add_argument('--device', default='cpu', help='of the model')
    parser.add_argument(
        '--dtype', default='fp32', choices=['fp32', 'bf16', 'fp16'],
        help='of the model that is measured (default: fp32)')
    parser.add_argument('--out', help='also write the tables to this file')
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
        for i in range(args.seconds * FPS):
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
    for i in range(args.num_videos):
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


def device_costs(cfg: Config, sample: dict, batch_size: int, pin: bool,
                 device: torch.device) -> Dict[str, float]:
    """Milliseconds a clip of collating, pinning, copying, normalising."""
    preprocessor = MODELS.build(cfg.model.data_preprocessor).to(device)
    steps = {'collate': lambda x: pseudo_collate([sample] * batch_size)}
    if device.type == 'cuda':
        if pin:
            steps['pin'] = lambda x: dict(
                x, inputs=[y.pin_memory() for y in x['inputs']])
        steps['copy'] = preprocessor.cast_data
    steps['normalise'] = lambda x: preprocessor(x, True)
    costs = dict.fromkeys(steps, float('inf'))
    for _ in range(5):
        data = None
        for name, step in steps.items():
            start = time.perf_counter()
            data = step(data)
            if device.type == 'cuda':
                torch.cuda.synchronize()
            seconds = time.perf_counter() - start
            costs[name] = min(costs[name], seconds * 1e3 / batch_size)
    return costs


def measured_need(args: argparse.Namespace, batch_size: int,
                  device: torch.device) -> float:
    """Clips a second that the config's model takes."""
    mode = dict(train='train', val='infer')[args.split]
    bench = Bench([(args.config, 'eager')], device, profile=False)
    row, = bench.rows(Group(mode, args.dtype, batch_size), 3)
    if 'error' in row:
        raise SystemExit(f'the model cannot be measured: {row["error"]}. '
                         'Tell by --need how many clips a second it takes')
    return row['clips_per_second']


def needs_table(needs: List[float], rate: float, workers: int) -> str:
    """Workers that keep up with models, and who waits for whom."""
    rows = []
    for need in needs:
        given = rate * workers
        rows.append([f'{need:.1f}', f'{math.ceil(need / rate)}',
                     f'{given:.1f}',
                     'the data' if given < need else 'the model'])
    return markdown(
        ['model, clips/s', 'workers needed', f'{workers} workers, clips/s',
         'what limits'], *rows)


def main() -> None:
    args = parse_args()
    device = set_up(args.device)
    # As in a worker.
    torch.set_num_threads(1)
    init_default_scope('mmaction')
    cfg = Config.fromfile(args.config)
    loader = cfg[f'{args.split}_dataloader']
    with tempfile.TemporaryDirectory() as folder:
        dataset = build_dataset(cfg, args, Path(folder))
        costs, total, sample = read_all(dataset)
    inputs = sample['inputs']
    rate = 1e3 / total
    size = 'x'.join(map(str, args.video_size))
    texts = [
        f'{args.split} pipeline of {Path(args.config).name}; {args.codec} of '
        f'{size}, {len(dataset)} clips; {rate:.1f} clips/s a worker',
        f'a clip is {str(inputs.dtype).split(".")[-1]} of '
        f'{tuple(inputs.shape)}, {inputs.nbytes / 2**20:.2f} MiB',
        markdown(['in a worker', 'ms a clip', 'share'],
                 *[[name, f'{x:.2f}', f'{x / total:.0%}']
                   for name, x in costs.items()]),
    ]
    found = device_costs(cfg, sample, loader.batch_size,
                         loader.get('pin_memory', False), device)
    texts.append(
        markdown([f'in the main process, {device.type}', 'ms a clip'],
                 *[[name, f'{x:.3f}'] for name, x in found.items()]))
    needs = args.need or [measured_need(args, loader.batch_size, device)]
    texts.append(needs_table(needs, rate, max(1, loader.num_workers)))
    print('\n\n'.join(texts))
    if args.out:
        Path(args.out).write_text('\n\n'.join(texts) + '\n')


if __name__ == '__main__':
    main()
