#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Builds the environment of `make env` and `make lint`: wheels only.

A stamp keeps what it was built from; while that fits, nothing is done.
Standard library only.
"""
import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PINS = ROOT / 'requirements' / 'env.txt'
MIN_PYTHON, MAX_PYTHON = (3, 9), (3, 13)
# Installed without what it requires: it asks for decord, which lacks wheels
# on many machines, and runs without.
BARE = 'mmaction2'


class InstallError(Exception):
    """Something failed; the message holds the remedy."""


def check_python(version=sys.version_info):
    """Raises InstallError if there is no set of packages for this Python."""
    if not MIN_PYTHON <= tuple(version[:2]) <= MAX_PYTHON:
        low, high = ('.'.join(map(str, v)) for v in (MIN_PYTHON, MAX_PYTHON))
        raise InstallError(
            f'This is Python {version[0]}.{version[1]}; the packages that '
            f'mmaction_memvit stands on exist for {low} to {high}.\nName one '
            'of these: make env PYTHON=python3.11')


def read_pins(torch=None, only=r'[\w-]+'):
    """Returns the requirements of requirements/env.txt.

    Args:
        torch (str | None): A requirement that replaces that for torch.
        only (str): A pattern of the packages to return. Defaults to all.

    Returns:
        list[str]: The requirements.
    """
    lines = PINS.read_text().splitlines()
    if torch:
        lines = [torch] + [x for x in lines if not x.startswith('torch==')]
    return [line for line in lines if re.match(rf'{only}(?![\w-])', line)]


def create(folder):
    """Returns the Python of an environment in a folder, made if missing."""
    python = folder / ('Scripts' if os.name == 'nt' else 'bin') / 'python'
    config = folder / 'pyvenv.cfg'
    if folder.exists() and any(folder.iterdir()):
        this = '{}.{}'.format(*sys.version_info[:2])
        text = config.read_text() if config.is_file() else ''
        found = re.search(r'version\S* *= *(\d+\.\d+)', text)
        if not found or found.group(1) != this:
            holds = (f'holds Python {found.group(1)}, not {this}'
                     if found else 'is no virtual environment')
            raise InstallError(f'{folder} {holds}. Remove it or choose '
                               'another place: make env VENV=...')
        if any(python.parent.glob('pip*')):
            return python
    print(f'Creating {folder} with Python {sys.version.split()[0]}',
          flush=True)
    done = subprocess.run(
        [sys.executable, '-m', 'venv', '--clear', str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        shutil.rmtree(str(folder), ignore_errors=True)
        raise InstallError(explain_venv_failure(done.stdout))
    return python


def explain_venv_failure(output):
    """Names the package that brings a missing `venv`."""
    version = '{}.{}'.format(*sys.version_info[:2])
    if 'ensurepip' in output or 'No module named venv' in output:
        return ('This Python cannot make virtual environments: its venv '
                'module is not installed.\nDebian, Ubuntu: apt-get install '
                f'python{version}-venv. Elsewhere: use a Python that has it, '
                'make env PYTHON=...')
    return f'python -m venv failed:\n{output[-2000:]}'


def pip_install(python, *arguments):
    """Runs `pip install`; quiet unless on a terminal."""
    quiet = [] if sys.stdout.isatty() else ['-q']
    env = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK='1')
    # A package without a wheel is to fail at once, not to be compiled.
    env.setdefault('PIP_ONLY_BINARY', ':all:')
    done = subprocess.run(
        [str(python), '-m', 'pip', 'install', *quiet, *arguments],
        cwd=str(ROOT), env=env, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise InstallError(
            "pip failed, see its message above.\n'from versions: none' or "
            'retries: no index in reach (proxy: HTTPS_PROXY; mirror: '
            'PIP_INDEX_URL; a folder of wheels: PIP_FIND_LINKS and '
            "PIP_NO_INDEX=1).\n'No matching distribution': another torch "
            '(make env TORCH=torch==2.8.0) or another Python (make env '
            'PYTHON=python3.11).')


def install(folder, torch):
    """Installs everything, and this project as an editable package."""
    pins, bare = read_pins(torch), read_pins(only=BARE)
    state = hashlib.sha256(repr([str(ROOT), str(folder), pins, *(
        (ROOT / name).read_text() for name in ('setup.cfg', 'pyproject.toml'))
    ]).encode()).hexdigest()
    stamp = folder / 'mmaction_memvit.stamp'
    python = create(folder)
    if stamp.is_file() and stamp.read_text() == state:
        return
    print('Installing wheels (nothing is compiled)', flush=True)
    pip_install(python, *(pin for pin in pins if pin not in bare))
    pip_install(python, '--no-deps', '--no-build-isolation', '-e', str(ROOT),
                *bare)
    check = [str(python), str(ROOT / 'tools' / 'check_env.py')]
    if subprocess.run([*check, '--detection']).returncode != 0:
        raise InstallError('The environment is not sound, see the table.')
    stamp.write_text(state)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--venv', default='.venv', help='where to build it')
    parser.add_argument(
        '--torch', help='another torch than the pinned one: torch==2.4.1')
    parser.add_argument(
        '--only-lint', action='store_true', help='install the linter alone')
    args = parser.parse_args()
    folder = (ROOT / args.venv).resolve()
    try:
        check_python()
        if args.only_lint:
            pip_install(create(folder), *read_pins(only='ruff'))
        else:
            install(folder, args.torch)
    except InstallError as error:
        sys.exit(f'\nError: {error}')


if __name__ == '__main__':
    main()
