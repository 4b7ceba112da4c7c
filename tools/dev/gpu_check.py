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
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Sequence

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
    parser.add_argument('--seconds', type=float, default=480,
        help='until then it should be over (default: 480)')
    parser.add_argument('--out', default=os.environ.get('OUT', 'gpu_out'),
        help='folder of the tables (default: $OUT, else gpu_out)')
    parser.add_argument(
        '--no-tests', action='store_true', help='only the speed')
    parser.add_argument('--dry', action='store_true',
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
    detector = [(f'{ROOT / DETECTOR}{x}', 'eager') for x in ('', '@backbone')]
    return [
        Part(all_ways, groups),
        # MMAction2's heads count accuracy in NumPy, which has no bfloat16.
        Part(collaborative, [('train', 'fp16', 4), ('infer', 'fp16', 4)]),
        Part(detector, [('train', 'bf16', 8), ('infer', 'bf16', 8)]),
        Part([(base, 'eager'), (m2, 'compile')], groups[:2], COMPILING),
    ]


class Bar(NamedTuple):
    """What is asked for.

    Attributes:
        text (str): Of what.
        value (callable): From the rows to what was measured, or None.
        limit (float): It must reach or, of costs, keep to.
        at_most (bool): Whether it is a cost. Defaults to False.
    """

    text: str
    value: Callable[[Sequence[dict]], Optional[float]]
    limit: float
    at_most: bool = False


def find(rows: Sequence[dict], key: str, model: str, ways: Sequence[str],
         *group) -> Optional[float]:
    """The best of some ways; None if not measured, or not finite."""
    found = [row[key] for row in rows if row['model'] == model
             and row['how'] in ways
             and group == (row['mode'], row['dtype'], row['batch_size'])
             and row.get(key) is not None and row.get('finite')]
    better = min if key in ('ms', 'peak_ratio') else max
    return better(found) if found else None


EAGER, FAST, ANY = ('eager', ), ('compile', 'graph'), ('eager', 'compile',
                                                       'graph')
M0, M2, M4 = 'memvit-m0', 'memvit-m2', 'memvit-m4'


def speed(ways: Sequence[str], *group) -> Callable:
    """Ratio of MeMViT-16 M=2 to MViT-small run eagerly."""
    return lambda rows: find(rows, 'ratio', M2, ways, *group)


def cost(model: str, base: str, ways: Sequence[str], *group) -> Callable:
    """Time of a model over that of another, run the same way."""

    def value(rows: Sequence[dict]) -> Optional[float]:
        own, other = (find(rows, 'ms', x, ways, *group) for x in (model, base))
        return own / other if own and other else None

    return value


def share(*group) -> Callable:
    """What the RoI head and box memory take of a detector's step."""
    name = Path(DETECTOR).stem

    def value(rows: Sequence[dict]) -> Optional[float]:
        ratio = cost(f'{name} @backbone', name, EAGER, *group)(rows)
        return None if ratio is None else 1 - ratio

    return value


def bars() -> List[Bar]:
    """All bars, in the order of the parts."""
    infer8, train8 = ('infer', 'bf16', 8), ('train', 'bf16', 8)
    together = Path(COLLABORATIVE).stem
    found = [
        Bar('inference bf16, batch 8, eager', speed(EAGER, *infer8), 2),
        Bar('inference bf16, batch 8, compiled or graph',
            speed(FAST, *infer8), 5),
        Bar('inference bf16, batch 32', speed(ANY, 'infer', 'bf16', 32), 5),
        Bar('training bf16, batch 8, eager', speed(EAGER, *train8), 2),
        Bar('training bf16, batch 8, compiled or graph',
            speed(FAST, *train8), 3.5),
        Bar('training bf16, batch 32', speed(ANY, 'train', 'bf16', 32), 4),
        Bar('inference bf16, batch 1, graph',
            speed(('graph', ), 'infer', 'bf16', 1), 4),
        Bar('inference fp32, batch 8', speed(ANY, 'infer', 'fp32', 8), 1.3),
        Bar('training fp32, batch 8', speed(ANY, 'train', 'fp32', 8), 1.3),
    ]
    for word, group, memory in (('inference', infer8, .45),
                                ('training', train8, .6)):
        found += [
            Bar(f'peak memory of {word} bf16, batch 8',
                lambda rows, group=group: find(rows, 'peak_ratio', M2, EAGER,
                                               *group), memory, True)
        ]
        for how in ('eager', 'graph'):
            found += [
                Bar(f'time of M={m} over M=0, {word} bf16, batch 8, {how}',
                    cost(model, M0, (how, ), *group), limit, True)
                for m, model, limit in ((2, M2, 1.08), (4, M4, 1.12))
            ]
    return found + [
        Bar('collaborative SlowOnly-50 8x8, N=8, over the plain recognizer, '
            'training fp16',
            cost(together, f'{together} @plain', EAGER, 'train', 'fp16', 4),
            1.05, True),
        Bar('RoI head and box memory of a detector, share of training bf16',
            share(*train8), .1, True),
    ]


def verdict(rows: Sequence[dict]) -> List[str]:
    """A line for each bar."""
    lines = []
    for bar in bars():
        value = bar.value(rows)
        asked = f'{"at most" if bar.at_most else "at least"} {bar.limit}'
        if value is None:
            lines.append(f'NOT MEASURED  {bar.text}: {asked}')
            continue
        met = value <= bar.limit if bar.at_most else value >= bar.limit
        lines.append(f'{"met         " if met else "NOT MET     "}  '
                     f'{bar.text}: {value:.2f}, {asked}')
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
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=dict(os.environ, PYTHONPATH=path),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=args.seconds * TEST_SHARE)
        text, code = done.stdout, f'exit code {done.returncode}'
    except subprocess.TimeoutExpired as late:
        text, code = late.stdout or '', 'cut off'
        if isinstance(text, bytes):
            text = text.decode(errors='replace')
    (out / 'tests.log').write_text(text)
    return f'pytest -m cuda: {code}\n' + '\n'.join(text.splitlines()[-15:])


def run_parts(args: argparse.Namespace, out: Path, until: float,
              rows: List[dict]) -> None:
    """Measure; after every group rows grow and the tables are written."""
    import benchmark_memvit as tool
    from benchmarking.runs import Bench, Group
    device = tool.set_up('cpu' if args.dry else 'cuda')
    texts: List[str] = [tool.machine(device)]
    for part in parts_of(args.dry):
        if time.time() + part.seconds > until:
            texts.append(f'not measured, time is up: {part.models}')
            continue
        bench = Bench(part.models, device, 32 if args.dry else None,
                      profile=not args.dry)
        texts.append(tool.models_table(bench.models))
        for mode, dtype, batch_size, *only in part.groups:
            group = Group(mode, dtype, batch_size)
            if time.time() + part.seconds > until:
                texts.append(f'{group}: not measured, time is up')
                continue
            rounds = 15 if mode == 'infer' else 7
            found = bench.rows(group, 3 if args.dry else rounds,
                               only[0] if only else None)
            rows += found
            texts.append(f'{group}\n\n{tool.table_of(found)}')
            print(f'{texts[-1]}\n', flush=True)
            texts[0] = tool.machine(device, bench)
            tool.save(str(out / 'speed.md'), texts, rows, bench)
        del bench
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
