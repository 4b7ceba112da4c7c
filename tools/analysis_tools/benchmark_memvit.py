# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What memory costs: MeMViT with and without it beside MMAction2's MViT.

    python tools/analysis_tools/benchmark_memvit.py
    python tools/analysis_tools/benchmark_memvit.py --device cuda \
        --dtype fp32 bf16 --batch-size 8 --mode infer train --out table.md
    python tools/analysis_tools/benchmark_memvit.py --stream 1000

All models run in turn in one process, round after round, so that whatever
else the machine does meets them alike; the ratios of medians are what to read.
"""
import argparse
import logging
import resource
import statistics
import time
import warnings
from contextlib import nullcontext
from typing import Callable, Dict, List, Optional

import torch
from mmaction.registry import MODELS
from mmengine.analysis import FlopAnalyzer
from mmengine.utils import ProgressBar
from torch import Tensor, nn

from mmaction_memvit.models import MeMViT

DTYPES = dict(fp32=torch.float32, bf16=torch.bfloat16, fp16=torch.float16)
NUM_CLASSES = 400


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--arch', default='small', choices=['small', 'base'])
    parser.add_argument(
        '--mem-len',
        type=int,
        nargs='+',
        default=[0, 2, 4],
        help='memory lengths M (default: 0 2 4)')
    parser.add_argument('--mem-stride', type=int, default=1, help='gap')
    parser.add_argument(
        '--size', type=int, default=224, help='height and width in pixels')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--device', default='cpu', help='cpu or cuda')
    parser.add_argument(
        '--dtype',
        nargs='+',
        default=['fp32'],
        choices=list(DTYPES),
        help='fp32, or the dtype of autocast')
    parser.add_argument(
        '--mode',
        nargs='+',
        default=['infer', 'train'],
        choices=['infer', 'train'])
    parser.add_argument(
        '--rounds', type=int, default=9, help='timed rounds (default: 9)')
    parser.add_argument(
        '--train-rounds',
        type=int,
        default=3,
        help='timed rounds of training (default: 3)')
    parser.add_argument(
        '--stream',
        type=int,
        metavar='CLIPS',
        help='instead: time and memory along a stream of so many clips')
    parser.add_argument('--threads', type=int, help='of PyTorch on the CPU')
    parser.add_argument('--out', help='also write the tables to this file')
    return parser.parse_args()


class Classifier(nn.Module):
    """A backbone with a linear head on its class token."""

    def __init__(self, backbone: nn.Module, remember: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.fc = nn.Linear(768, NUM_CLASSES)
        self.remember = remember

    def forward(self, x: Tensor) -> Tensor:
        """Scores of a first clip; what the operations are counted on."""
        return self.step(x, self.start(len(x), x.shape[-2:]))[0]

    def start(self, batch_size: int, size: tuple) -> Optional[tuple]:
        """Memory at the start of streams, None without one."""
        if not self.remember:
            return None
        return self.backbone.init_memory(batch_size, size)

    def step(self, x: Tensor, memory: Optional[tuple]) -> tuple:
        """Scores of a clip, and the next memory."""
        if memory is None:
            return self.fc(self.backbone(x)[-1][1]), None
        feats, memory = self.backbone(x, memory)
        return self.fc(feats[-1][1]), memory.detach()


def build_models(args: argparse.Namespace) -> Dict[str, Classifier]:
    """The models of the table, MMAction2's first."""
    frames = dict(small=16, base=32)[args.arch]
    models = {
        f'MViT-{args.arch}':
        Classifier(
            MODELS.build(
                dict(
                    type='mmaction.MViT',
                    arch=args.arch,
                    temporal_size=frames,
                    spatial_size=args.size)), False)
    }

    def memvit(mem_len: int, **kwargs) -> Classifier:
        backbone = MeMViT(
            args.arch,
            temporal_size=frames,
            spatial_size=args.size,
            mem_len=mem_len,
            mem_stride=args.mem_stride,
            **kwargs)
        return Classifier(backbone, mem_len > 0)

    for mem_len in args.mem_len:
        models[f'MeMViT M={mem_len}'] = memvit(mem_len)
    if 'train' in args.mode:
        models[f'MeMViT M={max(args.mem_len)} with_cp'] = memvit(
            max(args.mem_len), with_cp=True)
    for model in models.values():
        model.backbone.init_weights()
        model.to(args.device)
    return models


def saved_bytes(run: Callable[[], object], model: nn.Module) -> int:
    """Bytes autograd keeps for the backward pass, parameters left out."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: Dict[int, Tensor] = {}

    def pack(x: Tensor) -> Tensor:
        # Holding the tensor keeps its address from being used again.
        kept[x.untyped_storage().data_ptr()] = x
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        result = run()
    del result
    return sum(x.untyped_storage().nbytes() for ptr, x in kept.items()
               if ptr not in own)


class Bench:
    """Times models in turn on one device, in one dtype and mode."""

    def __init__(self, args: argparse.Namespace, models: Dict[str, Classifier],
                 dtype: str, mode: str) -> None:
        self.args, self.models, self.mode = args, models, mode
        self.cuda = args.device.startswith('cuda')
        frames = dict(small=16, base=32)[args.arch]
        self.x = torch.randn(
            args.batch_size, 3, frames, args.size, args.size,
            device=args.device)
        self.autocast = (lambda: nullcontext()) if dtype == 'fp32' else (
            lambda: torch.autocast(
                args.device.split(':')[0], dtype=DTYPES[dtype]))
        self.memories = {}
        with self.autocast():
            for name, model in models.items():
                model.train(mode == 'train')
                self.memories[name] = model.start(args.batch_size,
                                                  self.x.shape[-2:])

    def forward(self, name: str) -> Tensor:
        """Scores of the stream's next clip."""
        with self.autocast():
            scores, memory = self.models[name].step(self.x,
                                                    self.memories[name])
        self.memories[name] = memory
        return scores

    def step(self, name: str) -> None:
        """One step of inference or of training."""
        if self.mode == 'infer':
            with torch.no_grad():
                self.forward(name)
        else:
            self.models[name].zero_grad()
            self.forward(name).float().sum().backward()
        if self.cuda:
            torch.cuda.synchronize()

    def timed(self, name: str) -> float:
        """Seconds of one step."""
        start = time.perf_counter()
        self.step(name)
        return time.perf_counter() - start

    def run(self, rounds: int) -> Dict[str, float]:
        """Median seconds of every model, over interleaved rounds."""
        times: Dict[str, List[float]] = {name: [] for name in self.models}
        # Two rounds untimed: caches, allocators and the memories fill.
        bar = ProgressBar((rounds + 2) * len(self.models))
        for i in range(rounds + 2):
            for name in self.models:
                seconds = self.timed(name)
                bar.update()
                if i > 1:
                    times[name].append(seconds)
        bar.file.write('\n')
        return {k: statistics.median(v) for k, v in times.items()}

    def megabytes(self, name: str) -> Optional[float]:
        """Training: activations kept. CUDA inference: peak over weights."""
        model = self.models[name]
        if self.mode == 'train':
            return saved_bytes(lambda: self.forward(name), model) / 2**20
        if not self.cuda:
            return None
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        self.step(name)
        return (torch.cuda.max_memory_allocated() - before) / 2**20

    def peak(self, name: str) -> Optional[float]:
        """CUDA training: peak of a whole step, weights and grads too."""
        if not self.cuda or self.mode != 'train':
            return None
        for model in self.models.values():
            model.zero_grad(set_to_none=True)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        self.step(name)
        return (torch.cuda.max_memory_allocated() - before) / 2**20


def markdown(header: List[str], rows: List[List[str]]) -> str:
    """A table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    lines = [header, ['-' * w for w in widths], *rows]
    return '\n'.join('| ' + ' | '.join(
        cell.ljust(w) for cell, w in zip(line, widths)) + ' |'
                     for line in lines)


def size_table(args: argparse.Namespace,
               models: Dict[str, Classifier]) -> str:
    """Parameters and operations."""
    x = torch.randn(1, *(3, dict(small=16, base=32)[args.arch], args.size,
                         args.size), device=args.device)
    rows, base = [], None
    for name, model in models.items():
        if name.endswith('with_cp'):
            continue
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter('ignore')
            macs = FlopAnalyzer(model.eval(), (x, )).total() / 1e9
        params = sum(p.numel() for p in model.parameters()) / 1e6
        if name == 'MeMViT M=0':
            base = macs
        rows.append([
            name, f'{params:.2f}', f'{macs:.2f}',
            '-' if base is None else f'{macs / base - 1:+.1%}'
        ])
    return markdown(['model', 'parameters, M', 'GMACs a clip', 'over M=0'],
                    rows)


def speed_table(bench: Bench, rounds: int) -> str:
    """Seconds and memory, as ratios to the first model and to M=0."""
    seconds = bench.run(rounds)
    reference = next(iter(seconds))
    base = seconds.get('MeMViT M=0')
    first_mb, rows = None, []
    for name, value in seconds.items():
        size = bench.megabytes(name)
        first_mb = first_mb or size
        peak = bench.peak(name)
        rows.append([
            name, f'{value * 1000:.1f}',
            f'{value / seconds[reference]:.3f}',
            '-' if base is None or name == reference else
            f'{value / base:.3f}', '-' if size is None else f'{size:.0f}',
            '-' if size is None else f'{size / first_mb:.3f}',
            '-' if peak is None else f'{peak:.0f}'
        ])
    kept = ('kept activations, MiB'
            if bench.mode == 'train' else 'peak memory, MiB')
    return markdown([
        'model', 'ms a step', f'/ {reference}', '/ M=0', kept,
        f'/ {reference}', 'peak of the step, MiB'
    ], rows)


def stream_table(args: argparse.Namespace) -> str:
    """Time and memory along one stream: both should stay flat."""
    name = f'MeMViT M={max(args.mem_len)}'
    args.mode = ['infer']
    bench = Bench(args, {name: build_models(args)[name]}, args.dtype[0],
                  'infer')
    marks = sorted({10, *(args.stream * i // 5 for i in range(1, 6))})
    times, rows, sizes = [], [], []
    bar = ProgressBar(args.stream)
    for _ in range(args.stream):
        times.append(bench.timed(name))
        sizes.append(bench.memories[name].nbytes() / 2**20)
        bar.update()
        if len(times) in marks:
            rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            if bench.cuda:
                rss = torch.cuda.max_memory_allocated() / 2**20
            window = times[-min(50, len(times) - 2):]
            rows.append([
                str(len(times)), f'{statistics.median(window) * 1000:.1f}',
                f'{sizes[-1]:.2f}', f'{rss:.0f}'
            ])
    bar.file.write('\n')
    return f'{name}\n\n' + markdown(
        ['clip', 'ms a clip (median of 50)', 'memory held, MiB',
         'peak of the process, MiB'], rows)


def machine(args: argparse.Namespace) -> str:
    """One line on where the numbers are from."""
    if args.device.startswith('cuda'):
        where = torch.cuda.get_device_name(args.device)
    else:
        where = f'CPU, {torch.get_num_threads()} threads'
    return (f'{where}; PyTorch {torch.__version__}; batch size '
            f'{args.batch_size}, {args.size}x{args.size}')


def main() -> None:
    args = parse_args()
    logging.disable(logging.WARNING)
    warnings.filterwarnings('ignore')
    if args.device.startswith('cuda') and not torch.cuda.is_available():
        raise SystemExit('--device cuda, but PyTorch sees no GPU: leave it '
                         'out, or install a CUDA build of PyTorch')
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    parts = [machine(args)]

    def show(text: str) -> None:
        parts.append(text)
        print(text + '\n', flush=True)

    print(parts[0] + '\n')
    if args.stream:
        show(stream_table(args))
    else:
        models = build_models(args)
        show(size_table(args, models))
        for mode in args.mode:
            for dtype in args.dtype:
                show(f'{dict(infer="inference", train="training")[mode]}, '
                     f'{dtype}')
                used = {
                    k: v
                    for k, v in models.items()
                    if mode == 'train' or not k.endswith('with_cp')
                }
                show(speed_table(
                    Bench(args, used, dtype, mode),
                    args.rounds if mode == 'infer' else args.train_rounds))
    if args.out:
        with open(args.out, 'w') as file:
            file.write('\n\n'.join(parts) + '\n')


if __name__ == '__main__':
    main()
