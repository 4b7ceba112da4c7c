#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Tests this package among the versions of its hosts; writes a table.

    python tools/dev/check_matrix.py --list
    python tools/dev/check_matrix.py --only py3.12 --update-readme

Each combination gets a fresh environment, as a user would make it: `pip
install` of the hosts, then of a copy of this checkout, and the tests that a
version can break (--full: all). Results are kept in the folder of --work, so
that a run which was stopped goes on, and the table grows.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import namedtuple
from itertools import product
from pathlib import Path

from install_env import MAX_PYTHON, MIN_PYTHON, ROOT, read_pins

OLDEST_TORCH = {(3, 12): 'torch==2.2.2', (3, 13): 'torch==2.5.1'}
HOSTS = {
    # MMAction2 refuses MMCV 2.2, which pip would take.
    'OpenMMLab': ['mmengine', 'mmcv-lite<2.2', 'mmdet'],
    # onedl-mmcv of PyPI has no compiled operators either.
    'onedl': ['onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection'],
}
NUMPY = {
    1: ['numpy<2', 'opencv-python<4.12', 'opencv-contrib-python<4.12'],
    # What pip takes by itself; GPU images add the newest transformers.
    2: ['numpy>=2', "transformers>=5; python_version >= '3.10'"],
}
# What a version can break: what is healed, the numbers, the operators, and
# whole runs through MMAction2's own tools, in processes of their own.
FAST = ['compat', 'ops', 'test_parity.py', 'models/detectors',
        'models/roi_heads', 'test_stock_tools.py', 'tools/test_check_env.py']
SHOWN = ('torch', 'numpy', 'opencv-python', 'mmcv', 'mmcv-lite', 'onedl-mmcv',
         'mmdet', 'onedl-mmdetection', 'transformers')
MARKS = '<!-- versions: tools/dev/check_matrix.py -->', '<!-- /versions -->'

Cell = namedtuple('Cell', 'hosts numpy mmcv torch python')


def is_possible(cell, version):
    """Whether the packages of a combination exist."""
    if cell.hosts == 'onedl' and version < (3, 10):
        return False
    if cell.numpy == 1 and version >= (3, 13):
        return False
    # The first torch that was built for NumPy 2 is 2.3.
    return not (cell.numpy == 2 and cell.torch == 'oldest'
                and version < (3, 13))


def find_pythons():
    """Returns {version: path} of the interpreters on the PATH."""
    names = {(MIN_PYTHON[0], minor): f'python{MIN_PYTHON[0]}.{minor}'
             for minor in range(MIN_PYTHON[1], MAX_PYTHON[1] + 1)}
    return {version: shutil.which(name) for version, name in names.items()
            if shutil.which(name)}


def requirements(cell, version, wheel):
    """Returns the arguments of pip that make an environment."""
    old = OLDEST_TORCH.get(version, 'torch==2.1.2')
    torch = [old] if cell.torch == 'oldest' else read_pins(only='torch')
    packages = HOSTS[cell.hosts]
    if cell.mmcv == 'mmcv':
        packages = [wheel] + [p for p in packages if 'mmcv' not in p]
    return [*torch, 'mmaction2', *packages, *NUMPY[cell.numpy]]


def build(folder, python, packages):
    """Makes an environment in ``folder`` with a copy of this checkout."""
    subprocess.run([python, '-m', 'venv', '--clear', str(folder)], check=True)
    # A copy: the checkout may change while the tests run.
    source = folder / 'source'
    shutil.copytree(str(ROOT), str(source), symlinks=True,
                    ignore=shutil.ignore_patterns('.git', '.venv*', '*cache',
                                                  'work_dirs', '__pycache__'))
    pip = [str(folder / 'bin/python'), '-m', 'pip', 'install', '-q']
    subprocess.run([*pip, *packages, '-e', f'{source}[tests]'], check=True)
    shared = ROOT.parent / 'shared'
    if shared.exists():
        (folder / 'shared').symlink_to(shared)
    return source


def run_tests(folder, source, full):
    """Runs the tests against the installed package; returns the counts."""
    paths = [source / 'tests'] if full else [
        path for path in (source / 'tests' / name for name in FAST)
        if path.exists()]
    env = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    report = folder / 'report.xml'
    with open(str(folder) + '.log', 'w') as log:
        subprocess.run(
            [str(folder / 'bin/pytest'), '-q', '--durations=12',
             f'--junitxml={report}', *map(str, paths)],
            cwd=str(source), env=dict(env, OMP_NUM_THREADS='1'), stdout=log,
            stderr=subprocess.STDOUT)
    counts = ElementTree.parse(str(report)).getroot().find('testsuite').attrib
    bad = int(counts['failures']) + int(counts['errors'])
    skipped = int(counts['skipped'])
    return dict(passed=int(counts['tests']) - bad - skipped, failed=bad,
                skipped=skipped)


def installed(folder):
    """Returns the versions of what the table shows."""
    code = ('import sys, json; from importlib import metadata as m; found = '
            '{d.metadata["Name"]: d.version for d in m.distributions()}; '
            'print(json.dumps({n: found[n] for n in sys.argv[1:] if n in '
            'found}))')
    return json.loads(subprocess.check_output(
        [str(folder / 'bin/python'), '-c', code, *SHOWN]))


def check(name, cell, python, args):
    """Tests one combination; returns its result."""
    version = tuple(map(int, cell.python.split('.')))
    folder = Path(args.work).resolve() / name
    started = time.time()
    try:
        source = build(folder, python,
                       requirements(cell, version, args.mmcv_wheel))
        result = dict(run_tests(folder, source, args.full),
                      versions=installed(folder))
    except (subprocess.CalledProcessError, OSError) as error:
        result = dict(error=str(error)[:200])
    shutil.rmtree(str(folder), ignore_errors=True)
    return dict(result, **cell._asdict(), full=args.full,
                minutes=round((time.time() - started) / 60, 1))


def table(results):
    """Returns the results as Markdown."""
    lines = ['| Python | torch | hosts | MMCV | NumPy | OpenCV | tests |',
             '|---|---|---|---|---|---|---|']
    for result in results:
        found = result.get('versions', {})
        mmcv = ', '.join(f'{n} {v}' for n, v in found.items() if 'mmcv' in n)
        if 'error' in result:
            tests = 'does not install'
        else:
            tests = '{passed} passed{}{}'.format(
                f', **{result["failed"]} failed**' if result['failed'] else '',
                ' (all)' if result['full'] else '', **result)
        if 'transformers' in found:
            tests += ', beside transformers ' + found['transformers']
        lines.append('| ' + ' | '.join([
            result['python'], found.get('torch', '-').split('+')[0],
            result['hosts'], mmcv, found.get('numpy', '-'),
            found.get('opencv-python', '-'), tests]) + ' |')
    return '\n'.join(lines)


def update_readme(text):
    """Puts the table between the marks of docs/install.md."""
    path = ROOT / 'docs/install.md'
    head, rest = path.read_text(encoding='utf-8').split(MARKS[0])
    tail = rest.split(MARKS[1])[1]
    path.write_text(f'{head}{MARKS[0]}\n{text}\n{MARKS[1]}{tail}',
                    encoding='utf-8')


def read(store):
    """Returns the results that are there."""
    return json.loads(store.read_text()) if store.exists() else {}


def parse_args():
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add('--list', action='store_true', help='name the combinations and stop')
    add('--only', nargs='*', default=[''],
        help='names, or parts of names, of combinations')
    add('--full', action='store_true', help='all tests, not the fast part')
    add('--mmcv-wheel', help='MMCV with compiled operators, to be tested too')
    add('--work', default=str(ROOT / 'work_dirs/matrix'), help='results, logs')
    add('--update-readme', action='store_true', help='put the table there')
    return parser.parse_args()


def main():
    """Tests what has no result yet and prints the table."""
    args = parse_args()
    store = Path(args.work) / 'results.json'
    store.parent.mkdir(parents=True, exist_ok=True)
    results = read(store)
    for version, python in find_pythons().items():
        for hosts, numpy, mmcv, torch in product(
                HOSTS, NUMPY, ['lite'] + ['mmcv'] * bool(args.mmcv_wheel),
                ['oldest', 'newest']):
            cell = Cell(hosts, numpy, mmcv, torch, '.'.join(map(str, version)))
            name = f'py{cell.python}-{torch}-{hosts}-{mmcv}-numpy{numpy}'
            if not is_possible(cell, version) or not any(
                    part in name for part in args.only):
                continue
            if args.list:
                print(name)
            elif name not in results:
                print(f'== {name}', flush=True)
                result = check(name, cell, python, args)
                # Another run may have added results meanwhile.
                results = {**read(store), name: result}
                store.write_text(json.dumps(results, indent=2))
    text = table(results[name] for name in sorted(results))
    if args.update_readme:
        update_readme(text)
    print(text)
    return int(any('error' in r or r['failed'] for r in results.values()))


if __name__ == '__main__':
    sys.exit(main())
