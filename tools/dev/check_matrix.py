#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Tests this package among the versions of its hosts; writes a table.

    python tools/dev/check_matrix.py --only py3.12 --update-docs

Each combination gets a fresh environment, as a user would make it: `pip
install` of the hosts, then of a copy of this checkout, and the tests that a
version can break. Logs and environments are in work_dirs/matrix.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from itertools import product

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
TESTS = ['compat', 'ops', 'test_parity.py', 'models/detectors',
         'models/roi_heads', 'test_stock_tools.py', 'tools/test_check_env.py']
HEADS = ('python', 'torch', 'hosts', 'mmcv-lite', 'onedl-mmcv', 'mmdet',
         'numpy', 'opencv-python', 'transformers', 'tests')
MARKS = '<!-- versions: tools/dev/check_matrix.py -->', '<!-- /versions -->'

Cell = namedtuple('Cell', 'hosts numpy torch python')


def is_possible(cell):
    """Whether the packages of a combination exist."""
    if cell.hosts == 'onedl' and cell.python < (3, 10):
        return False
    if cell.numpy == 1:
        return cell.python < (3, 13)
    # The first torch that was built for NumPy 2 is 2.3.
    return cell.torch == 'newest' or cell.python >= (3, 13)


def requirements(cell):
    """Returns the arguments of pip that make an environment."""
    torch = read_pins(only='torch')
    if cell.torch == 'oldest':
        torch = [OLDEST_TORCH.get(cell.python, 'torch==2.1.2')]
    return [*torch, 'mmaction2', *HOSTS[cell.hosts], *NUMPY[cell.numpy]]


def check(name, cell):
    """Tests one combination; returns a row of the table, by its heads."""
    folder = ROOT / 'work_dirs/matrix' / name
    source = folder / 'source'
    row = dict(hosts=cell.hosts, python='.'.join(map(str, cell.python)))
    with open(f'{folder}.log', 'w') as log:

        def run(*command, check=True, **kwargs):
            subprocess.run(list(map(str, command)), stdout=log, check=check,
                           stderr=subprocess.STDOUT, **kwargs)

        try:
            run(f'python{row["python"]}', '-m', 'venv', '--clear', folder)
            # A copy: the checkout may change while the tests run.
            shutil.copytree(
                ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(
                    '.git', '.venv*', '*cache', 'work_dirs', '__pycache__'))
            if (ROOT.parent / 'shared').exists():
                (folder / 'shared').symlink_to(ROOT.parent / 'shared')
            run(folder / 'bin/python', '-m', 'pip', 'install', '-q',
                *requirements(cell), '-e', f'{source}[tests]')
            run(folder / 'bin/pytest', '-q', *(source / 'tests' / x
                                               for x in TESTS),
                cwd=source, check=False,
                env={k: v for k, v in os.environ.items()
                     if k != 'PYTHONPATH'} | {'OMP_NUM_THREADS': '1'})
            found = json.loads(subprocess.check_output([
                str(folder / 'bin/python'), '-m', 'pip', 'list',
                '--format=json']))
            row.update((x['name'], x['version']) for x in found
                       if x['name'] in HEADS)
        except (subprocess.CalledProcessError, OSError) as error:
            row['tests'] = f'**does not install**: {str(error)[:200]}'
    # The last line of pytest.
    counts = re.findall(r'\d+ (?:passed|failed|error)',
                        open(f'{folder}.log').read())
    row.setdefault('tests', ', '.join(counts) or '**none ran**')
    shutil.rmtree(folder, ignore_errors=True)
    return row


def table(rows):
    """Returns the results as Markdown."""
    lines = [HEADS, ['---'] * len(HEADS),
             *([row.get(x, '') for x in HEADS] for row in rows)]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def main():
    """Tests what is asked for and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--only', nargs='*', default=[''],
        help='names, or parts of names, of combinations')
    parser.add_argument('--update-docs', action='store_true',
        help='put the table into docs/install.md')
    args = parser.parse_args()
    (ROOT / 'work_dirs/matrix').mkdir(parents=True, exist_ok=True)
    rows = []
    for minor, *rest in product(range(MIN_PYTHON[1], MAX_PYTHON[1] + 1),
                                HOSTS, NUMPY, ('oldest', 'newest')):
        cell = Cell(*rest, (MIN_PYTHON[0], minor))
        name = f'py{MIN_PYTHON[0]}.{minor}-{cell.torch}-{cell.hosts}-numpy' \
            f'{cell.numpy}'
        if (is_possible(cell) and any(x in name for x in args.only)
                and shutil.which(f'python{MIN_PYTHON[0]}.{minor}')):
            print(f'== {name}', flush=True)
            rows.append(check(name, cell))
    print(table(rows))
    if args.update_docs:
        path = ROOT / 'docs/install.md'
        head, rest = path.read_text(encoding='utf-8').split(MARKS[0])
        tail = rest.split(MARKS[1])[1]
        path.write_text(f'{head}{MARKS[0]}\n{table(rows)}\n{MARKS[1]}{tail}',
                        encoding='utf-8')
    return int(any('passed' not in x['tests'] or ', ' in x['tests']
                   for x in rows))


if __name__ == '__main__':
    sys.exit(main())
