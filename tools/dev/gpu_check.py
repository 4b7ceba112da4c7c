# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""On a machine with a GPU: its tests, its speed, and whether that is enough.

    python tools/dev/gpu_check.py --seconds 480

Runs the tests marked ``cuda``, then MeMViT-16 beside MMAction2's MViT-small,
what counts most first, until the time is up, and prints of each bar what was
measured. Tables go to --out. Nothing need be installed but what the package
needs; what is missing is left out, with the reason.
"""
import argparse
import importlib.util
import math
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import List, NamedTuple, Sequence

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'tools/analysis_tools')]
COLLABORATIVE = ('configs/recognition/collaborative/slowonly_r50-memory_'
                 'k400-pre_8xb1-8x8x1-n8-15e_kinetics400-rgb.py')
DETECTOR = ('configs/detection/memvit/memvit-small-p244-m2g2_k400-pre_'
            '8xb2-16x4x1-30e_ava22-rgb.py')
# The tests may take so much of the time.
TEST_SHARE = 0.35
# Seconds that torch.compile of one backbone takes, forward and backward.
COMPILING = 100


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add('--seconds', type=float, default=480,
        help='until then it should be over (default: 480)')
    add('--out', default=os.environ.get('OUT', 'gpu_out'),
        help='folder of the tables (default: $OUT, else gpu_out)')
    add('--no-tests', action='store_true', help='only the speed')
    add('--dry', action='store_true',
        help='the same way with tiny models on the CPU: does it run?')
    return parser.parse_args()


class Part(NamedTuple):
    """Models compared in the same groups."""

    models: List[tuple]
    groups: List[tuple]
    seconds: float = 5


def parts_of(dry: bool) -> List[Part]:
    """What is measured, what counts most first.

    A group is mode, dtype, batch size, and the models if not all.
    """
    arch, base = ('-tiny', 'mvit-tiny') if dry else ('', 'mvit-small')
    m0, m2, m4 = (f'memvit{arch}-m{m}' for m in (0, 2, 4))
    all_ways = [(base, 'eager')]
    all_ways += [(m, how) for m in (m2, m0, m4) for how in ('eager', 'graph')]
    groups = [('infer', 'bf16', 8), ('train', 'bf16', 8),
              ('infer', 'bf16', 1, (base, m2)),
              ('infer', 'bf16', 32, (base, m2)),
              ('train', 'bf16', 32, (base, m2)),
              ('infer', 'fp32', 8, (base, m2)),
              ('train', 'fp32', 8, (base, m2))]
    if dry:
        groups = [(*g[:2], min(g[2], 2), *g[3:]) for g in groups[:3]]
        return [Part(all_ways, groups)]
    collaborative = [(f'{ROOT / COLLABORATIVE}{x}', 'eager')
                     for x in ('@plain', '')]
    detector = [(f'{ROOT / DETECTOR}{x}', how) for x, how in (
        ('', 'eager'), ('@backbone', 'eager'), ('', 'graph'))]
    return [
        Part(all_ways, groups),
        # MMAction2's heads count accuracy in NumPy, which has no bfloat16.
        Part(collaborative, [('train', 'fp16', 4), ('infer', 'fp16', 4)]),
        Part(detector, [('train', 'bf16', 8), ('infer', 'bf16', 8)]),
        Part([(base, 'eager'), (m2, 'compile')], groups[:2], COMPILING)]


EAGER, FAST = ('eager', ), ('compile', 'graph')
M0, M2, M4 = 'memvit-m0', 'memvit-m2', 'memvit-m4'


def bars() -> List[tuple]:
    """What is asked for.

    Of each: text, key of a row, model, how it may be run (the best one
    counts), group, whether the value must at least or at most be the limit,
    the limit, and another model that it is divided by, or None.
    """
    infer8, train8 = ('infer', 'bf16', 8), ('train', 'bf16', 8)
    together, detector = Path(COLLABORATIVE).stem, Path(DETECTOR).stem
    found = [
        (f'{" ".join(map(str, group))}, {" or ".join(ways)}', 'ratio', M2,
         ways, group, 'at least', limit, None)
        for group, ways, limit in (
            (infer8, EAGER, 2), (infer8, FAST, 5),
            (('infer', 'bf16', 32), EAGER + FAST, 5), (train8, EAGER, 2),
            (train8, FAST, 3.5), (('train', 'bf16', 32), EAGER + FAST, 4),
            (('infer', 'bf16', 1), ('graph', ), 4),
            (('infer', 'fp32', 8), EAGER + FAST, 1.3),
            (('train', 'fp32', 8), EAGER + FAST, 1.3))]
    for group, memory in ((infer8, .45), (train8, .6)):
        name = ' '.join(map(str, group))
        found.append((f'peak memory of {name}', 'peak_ratio', M2, EAGER, group,
                      'at most', memory, None))
        found += [
            (f'time of M={m} over M=0, {name}, {how}', 'ms', model, (how, ),
             group, 'at most', limit, M0)
            for how in ('eager', 'graph')
            for m, model, limit in ((2, M2, 1.08), (4, M4, 1.12))]
    return found + [
        ('collaborative SlowOnly-50 8x8, N=8, over the plain recognizer', 'ms',
         together, EAGER, ('train', 'fp16', 4), 'at most', 1.05,
         f'{together} @plain'),
        ('backbone alone over a detector with box memory', 'ms',
         f'{detector} @backbone', EAGER, train8, 'at least', .9, detector)]


def best(rows: Sequence[dict], key: str, model: str, ways: Sequence[str],
         group: tuple) -> float:
    """The best that was measured; NaN if nothing finite was."""
    values = [
        row[key] for row in rows
        if row['model'] == model and row['how'] in ways
        and group == (row['mode'], row['dtype'], row['batch_size'])
        and row.get(key) is not None and row.get('finite')]
    return (max if key == 'ratio' else min)(values, default=math.nan)


def verdict(rows: Sequence[dict]) -> List[str]:
    """A line for each bar."""
    lines = []
    for text, key, model, ways, group, side, limit, base in bars():
        value = best(rows, key, model, ways, group)
        if base:
            value /= best(rows, key, base, ways, group)
        met = value <= limit if side == 'at most' else value >= limit
        word = ('NOT MEASURED' if math.isnan(value) else
                'met' if met else 'NOT MET')
        lines.append(f'{word:12}  {text}: {value:.2f}, {side} {limit}')
    return lines


def run_tests(args: argparse.Namespace, out: Path) -> str:
    """The tests marked ``cuda``, within their share of the time."""
    command = [sys.executable, '-m', 'pytest', '-m', 'cuda', '-q', '-p',
               'no:cacheprovider', '--continue-on-collection-errors']
    if importlib.util.find_spec('xdist'):
        command += ['-n', '8']
    command.append(str(ROOT / 'tests'))
    if args.dry:
        command[-1] += '/models/test_devices.py'
        command.append('--collect-only')
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    with (out / 'tests.log').open('w') as log:
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=dict(os.environ, PYTHONPATH=path),
                stdout=log, stderr=subprocess.STDOUT,
                timeout=args.seconds * TEST_SHARE)
            code = f'exit code {done.returncode}'
        except subprocess.TimeoutExpired:
            code = 'cut off'
    lines = (out / 'tests.log').read_text(errors='replace').splitlines()
    return '\n'.join([f'pytest -m cuda: {code}', *lines[-15:]])


def run_parts(args: argparse.Namespace, out: Path, until: float,
              rows: List[dict]) -> None:
    """Measure; after every group rows grow and the tables are written."""
    import benchmark_memvit as tool
    from benchmarking.runs import Bench, Group
    device = tool.set_up('cpu' if args.dry else 'cuda')
    texts = [tool.machine(device)]
    for part in parts_of(args.dry):
        bench = None
        for mode, dtype, batch_size, *only in part.groups:
            group = Group(mode, dtype, batch_size)
            if time.time() + part.seconds > until:
                texts.append(f'{part.models}, {group}: time is up')
                continue
            if bench is None:
                bench = Bench(part.models, device, 32 if args.dry else None,
                              profile=not args.dry)
                texts.append(tool.models_table(bench.models))
            rounds = 3 if args.dry else 15 if mode == 'infer' else 7
            found = bench.rows(group, rounds, only[0] if only else None)
            rows += found
            texts.append(f'{group}\n\n{tool.table_of(found)}')
            print(f'{texts[-1]}\n', flush=True)
            texts[0] = tool.machine(device, bench)
            tool.save(str(out / 'speed.md'), texts, rows, bench)
    print(texts[0], flush=True)


def main() -> None:
    args = parse_args()
    until = time.time() + args.seconds
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    tests = '' if args.no_tests else run_tests(args, out)
    print(tests, flush=True)
    rows: List[dict] = []
    try:
        run_parts(args, out, until, rows)
    except Exception:  # noqa: BLE001
        # Of what was measured before, tables and verdict are wanted.
        traceback.print_exc()
    lines = verdict(rows)
    (out / 'verdict.txt').write_text('\n'.join([tests, *lines]) + '\n')
    print('\n'.join([tests.split('\n')[0], *lines]))


if __name__ == '__main__':
    main()
