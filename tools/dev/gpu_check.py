# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""On a machine with a GPU: its tests, and how fast models are on it.

    python tools/dev/gpu_check.py --seconds 480

Runs the tests marked ``cuda``, then benchmark_memvit.py, what counts most
first, until the time is up. Output and tables go to --out. Nothing need be
installed but what the package needs.
"""
import argparse
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLLABORATIVE = ('configs/recognition/collaborative/slowonly_r50-memory_'
                 'k400-pre_8xb1-8x8x1-n8-15e_kinetics400-rgb.py')
DETECTOR = ('configs/detection/memvit/memvit-small-p244-m2g2_k400-pre_'
            '8xb2-16x4x1-30e_ava22-rgb.py')
# Arguments of benchmark_memvit.py. MMAction2's heads count accuracy in NumPy,
# which has no bfloat16.
SPEED = dict(
    memvit='--model mvit-small memvit-m2 memvit-m0 memvit-m4 '
    '--how eager graph --dtype bf16 --batch-size 8',
    batches='--model mvit-small memvit-m2 --how eager graph --dtype bf16 '
    '--batch-size 1 32',
    fp32='--model mvit-small memvit-m2 --how eager graph --batch-size 8',
    collaborative=f'--model {COLLABORATIVE}@plain {COLLABORATIVE} '
    '--dtype fp16 --batch-size 4',
    detector=f'--model {DETECTOR} {DETECTOR}@backbone --dtype bf16 '
    '--batch-size 8',
    compiled='--model mvit-small memvit-m2 --how eager compile --dtype bf16 '
    '--batch-size 8')
# The tests may take so much of the time.
TEST_SHARE = 0.35


def commands(seconds: float) -> dict:
    """Command and seconds at most, by name; in this order."""
    tests = [sys.executable, '-m', 'pytest', 'tests', '-m', 'cuda', '-q', '-p',
             'no:cacheprovider', '--continue-on-collection-errors']
    if importlib.util.find_spec('xdist'):
        tests += ['-n', '8']
    speed = [sys.executable, 'tools/analysis_tools/benchmark_memvit.py',
             '--device', 'cuda', '--rounds', '15', '--train-rounds', '7']
    return dict(tests=(tests, seconds * TEST_SHARE), **{
        name: (speed + arguments.split(), seconds)
        for name, arguments in SPEED.items()})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add('--seconds', type=float, default=480,
        help='until then it should be over (default: 480)')
    add('--out', default=os.environ.get('OUT', 'gpu_out'),
        help='folder of the tables (default: $OUT, else gpu_out)')
    add('--no-tests', action='store_true', help='only the speed')
    args = parser.parse_args()
    until = time.time() + args.seconds
    out = Path(args.out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    for name, (command, limit) in commands(args.seconds).items():
        if name == 'tests' and args.no_tests:
            continue
        if name != 'tests':
            command += ['--out', str(out / f'{name}.md')]
        left = min(limit, until - time.time())
        log = out / f'{name}.log'
        try:
            with log.open('w') as file:
                code = subprocess.run(
                    command, cwd=ROOT, env=dict(os.environ, PYTHONPATH=path),
                    stdout=file, stderr=subprocess.STDOUT,
                    timeout=max(left, 0)).returncode
        except subprocess.TimeoutExpired:
            code = 'time is up'
        print(f'{name}: {code}', *log.read_text().splitlines()[-40:],
              sep='\n', flush=True)


if __name__ == '__main__':
    main()
