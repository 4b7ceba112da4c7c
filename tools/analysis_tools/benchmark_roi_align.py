#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Times our RoIAlign beside MMCV's compiled operator.

    python tools/analysis_tools/benchmark_roi_align.py [--device cuda]

Medians of interleaved runs, in milliseconds. Where MMCV has no compiled
operators, ours alone.
"""
import argparse
import statistics
import time
from typing import Callable, Dict

import torch
from torch import Tensor

from mmaction_memvit.compat import ops_are_compiled
from mmaction_memvit.ops.roi_align import roi_align

# Name, maps (B, C, H, W), boxes, bins, sampling_ratio.
CASES = [
    ('AVA, MeMViT', (8, 768, 14, 14), 80, 7, 0),
    ('AVA, SlowFast', (8, 2304, 16, 22), 80, 8, 0),
    ('persons, FPN 1/8', (2, 256, 100, 168), 1000, 7, 0),
    ('persons, FPN 1/32', (2, 256, 25, 42), 1000, 7, 0),
]


def some_boxes(num: int, shape: tuple, scale: float) -> Tensor:
    """Boxes (num, 5) of persons: up to half of the picture."""
    batch, _, height, width = shape
    size = torch.tensor([width, height]) / scale
    sides = (0.1 + 0.4 * torch.rand(num, 2)) * size.clamp(max=224)
    low = torch.rand(num, 2) * (size - sides)
    image = torch.arange(num)[:, None] % batch
    return torch.cat([image, low, low + sides], 1)


def interleaved(runs: Dict[str, Callable], device: str,
                repeats: int) -> Dict[str, float]:
    """Median milliseconds of each run."""
    times = {name: [] for name in runs}
    for i in range(repeats + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if device == 'cuda':
                torch.cuda.synchronize()
            if i >= 2:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(x) for name, x in times.items()}


def main() -> None:
    """Prints one row a case and direction."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='cpu', choices=['cpu', 'cuda'])
    parser.add_argument('--repeats', type=int, default=10)
    args = parser.parse_args()
    operators = {'ours': roi_align}
    if ops_are_compiled():
        from mmcv.ops import roi_align as compiled
        operators['MMCV'] = compiled
    torch.manual_seed(0)
    print(f'{"case":<19}{"":<18}' +
          ''.join(f'{name:>9}' for name in operators) + '    ratio')
    for case, shape, num, bins, ratio in CASES:
        scale = {14: 1 / 16, 16: 1 / 16, 100: 1 / 8, 25: 1 / 32}[shape[2]]
        rois = some_boxes(num, shape, scale).to(args.device)
        for learns in (False, True):
            maps = torch.randn(shape, device=args.device, requires_grad=learns)

            def run(operator: Callable, maps: Tensor = maps,
                    rois: Tensor = rois, bins: int = bins,
                    scale: float = scale, ratio: int = ratio) -> None:
                out = operator(maps, rois, (bins, bins), scale, ratio, 'avg',
                               True)
                if maps.requires_grad:
                    out.sum().backward()

            times = interleaved(
                {name: lambda op=op, run=run: run(op)
                 for name, op in operators.items()}, args.device,
                args.repeats)
            direction = 'forward, backward' if learns else 'forward'
            row = ''.join(f'{x:9.2f}' for x in times.values())
            quotient = (f'{times["ours"] / times["MMCV"]:9.2f}'
                        if 'MMCV' in times else '')
            print(f'{case:<19}{direction:<18}{row}{quotient}')


if __name__ == '__main__':
    main()
