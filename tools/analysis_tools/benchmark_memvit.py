# Copyright (c) mmaction_memvit contributors. All rights reserved.
r"""Models beside MMAction2's MViT-small: speed, memory, launches.

    python tools/analysis_tools/benchmark_memvit.py
    python tools/analysis_tools/benchmark_memvit.py --device cuda \
        --dtype bf16 fp32 --batch-size 1 8 32 --how eager graph --out table.md
    python tools/analysis_tools/benchmark_memvit.py --mode train --model \
        CONFIG.py CONFIG.py@plain CONFIG.py@backbone

Models are names (mvit-small, mvit-base, memvit-m2, memvit-base-m4,
memvit-m2g2 with a gap of 2, memvit-m4-cp with checkpointing, memvit-m2-u8-cp
trained on 8 clips in a row of each lane, recomputed one by one; xvit-base, and
vit-base, the same image transformer on each of the 16 frames alone) or config
files, with made-up clips as in training, from uint8 to the loss.
CONFIG@backbone is the backbone alone; CONFIG@plain, of a model with
collaborative memory, the same recognizer without, for the same clips.

All run in turn in one process, round after round, so that whatever else the
machine does meets them alike; the ratios of medians are what to read. A ratio
above 1 is faster than the first model run eagerly.
"""
import argparse
import json
import logging
import warnings
from itertools import product, starmap
from pathlib import Path
from typing import Optional, Sequence

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

import torch
from benchmarking import markdown
from benchmarking.runs import DTYPES, Bench, Group
from benchmarking.subjects import NAMES, WAYS

from mmaction_memvit.command_line import make_parser

MODELS = ['mvit-small', 'memvit-m0', 'memvit-m2', 'memvit-m4']
# Head of a column, key of a row, how it is written.
COLUMNS = (
    ('model', 'model', '{}'),
    ('how', 'how', '{}'),
    ('ms a step', 'ms', '{:.1f}'),
    ('clips/s', 'clips_per_second', '{:.2f}'),
    ('ratio', 'ratio', '{:.2f}'),
    ('TFLOP/s', 'tflops', '{:.3g}'),
    ('of ceiling', 'ceiling_share', '{:.1%}'),
    ('operators', 'operators', '{}'),
    ('launches', 'launches', '{:.0f}'),
    ('busy', 'busy', '{:.0%}'),
    ('waits', 'waits', '{}'),
    ('peak MiB', 'peak_mib', '{:.0f}'),
    ('ratio', 'peak_ratio', '{:.2f}'),
    ('kept MiB', 'kept_mib', '{:.0f}'),
    ('ratio', 'kept_ratio', '{:.2f}'),
)


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('--model', nargs='+', default=MODELS,
        help=f'{NAMES}\n(default: {" ".join(MODELS)})')
    add('--how', nargs='+', default=['eager'], choices=WAYS,
        help='graph: CUDA graphs (default: eager)')
    add('--size', type=int,
        help="height and width in pixels (default: 224, or the config's)")
    add('--batch-size', type=int, nargs='+', default=[1],
        help='clips; of configs with several clips a video, videos')
    add('--device', default='cpu', help='cpu or cuda')
    add('--dtype', nargs='+', default=['fp32'],
        choices=list(DTYPES), help='fp32, or the dtype of autocast')
    add('--mode', nargs='+', default=['infer', 'train'],
        choices=['infer', 'train'])
    add('--rounds', type=int, default=9, help='timed rounds (default: 9)')
    add('--train-rounds', type=int, default=3,
        help='timed rounds of training (default: 3)')
    add('--threads', type=int, help='of PyTorch on the CPU')
    add('--out', help='also write the tables here, and rows beside as .json')
    return parser.parse_args()


def table_of(rows: Sequence[dict]) -> str:
    """The rows of a group; columns that say nothing are left out."""
    good = [row for row in rows if 'error' not in row]
    used = [x for x in COLUMNS
            if any(row.get(x[1]) is not None for row in good)]
    cells = [['-' if row.get(key) is None else form.format(row[key])
              for _, key, form in used] for row in good]
    parts = [markdown([x[0] for x in used], *cells)] if good else []
    for row in rows:
        reason = row.get('error') or row.get('note') or (
            None if row['finite'] else 'its output is not finite')
        if reason:
            parts.append(f'{row["model"]}, {row["how"]}: {reason}')
    return '\n'.join(parts)


def models_table(models: Sequence[dict]) -> str:
    """Parameters and operations."""
    return markdown(
        ['model', 'parameters, M', 'GMACs a clip'],
        *[[x['model'], f'{x["params_m"]:.2f}',
           '-' if x['gmacs'] is None else f'{x["gmacs"]:.2f}']
          for x in models])


def machine(device: torch.device, bench: Bench) -> str:
    """Where the numbers are from."""
    where = (torch.cuda.get_device_name(device) if device.type == 'cuda'
             else f'CPU, {torch.get_num_threads()} threads')
    parts = [f'{where}; PyTorch {torch.__version__}']
    for dtype, (n, value) in bench.ceilings.items():
        parts.append(f'{n}^3 product in {dtype} {value:.3g} TFLOP/s')
    return '; '.join(parts)


def set_up(device: str, threads: Optional[int] = None) -> torch.device:
    """Quiet, reproducible; float32 products may take TF32, as in training."""
    logging.disable(logging.WARNING)
    warnings.filterwarnings('ignore')
    if device.startswith('cuda') and not torch.cuda.is_available():
        raise SystemExit('--device cuda, but PyTorch sees no GPU: leave it '
                         'out, or install a CUDA build of PyTorch')
    if threads:
        torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch._dynamo.config.cache_size_limit = 256
    torch.manual_seed(0)
    return torch.device(device)


def main() -> None:
    args = parse_args()
    device = set_up(args.device, args.threads)
    bench = Bench([(name, how) for name in args.model for how in args.how],
                  device, args.size)
    texts, rows = [models_table(bench.models)], []
    print(texts[0], flush=True)
    for group in starmap(Group, product(args.mode, args.dtype,
                                        args.batch_size)):
        found = bench.rows(group, args.rounds if group.mode == 'infer' else
                           args.train_rounds)
        rows += found
        texts.append(f'{group}\n\n{table_of(found)}')
        print(f'\n{texts[-1]}', flush=True)
    texts.insert(0, machine(device, bench))
    print(f'\n{texts[0]}', flush=True)
    if args.out:
        Path(args.out).write_text('\n\n'.join(texts) + '\n')
        Path(args.out).with_suffix('.json').write_text(json.dumps(
            dict(machine=texts[0], models=bench.models, rows=rows), indent=1))


if __name__ == '__main__':
    main()
