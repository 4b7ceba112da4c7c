#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Builds the environment of `make env` and `make lint`.

Each step leaves a stamp that holds a digest of what it depends on; a step
whose stamp still fits is skipped, so that a second run takes no time.
Standard library only, and old syntax: it runs under whatever `python3` is,
to say what is wrong with it.
"""
import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from build_mmcv import (
    InstallError,
    ensure_mmcv,
    say,
    uninstall_mmcv,
)

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / 'requirements'
CONSTRAINTS = REQUIREMENTS / 'constraints.txt'
MIN_PYTHON, MAX_PYTHON = (3, 9), (3, 12)
DEFAULT_TORCH = 'torch==2.13.0'
# The last torch for Python 3.9.
OLD_PYTHON_TORCH = 'torch==2.8.0'


def check_python(version=sys.version_info):
    """Raises InstallError if there is no set of packages for this Python."""
    if not MIN_PYTHON <= tuple(version[:2]) <= MAX_PYTHON:
        raise InstallError(
            f'This is Python {version[0]}.{version[1]}; the packages that '
            'mmaction_memvit stands on exist for 3.9 to 3.12.\nName one of '
            'these: make env PYTHON=python3.11')


def choose_torch(spec, version=sys.version_info):
    """Returns the requirement for torch that fits this Python."""
    if tuple(version[:2]) < (3, 10) and spec == DEFAULT_TORCH:
        return OLD_PYTHON_TORCH
    return spec


def digest(*parts):
    """Returns a short digest of strings and of the contents of files."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode()
        total.update(hashlib.sha256(data).digest())
    return total.hexdigest()[:16]


class Environment:
    """A virtual environment with stamps.

    Args:
        folder (Path): Where it is or will be.
    """

    def __init__(self, folder):
        self.folder = folder
        scripts = 'Scripts' if os.name == 'nt' else 'bin'
        self.python = folder / scripts / 'python'
        self.stamps = folder / '.stamps'

    def is_done(self, step, state):
        """Whether ``step`` was finished for this ``state``."""
        stamp = self.stamps / step
        return stamp.is_file() and stamp.read_text() == state

    def mark(self, step, state):
        """Notes that ``step`` is finished for this ``state``."""
        self.stamps.mkdir(exist_ok=True)
        (self.stamps / step).write_text(state)

    def create(self):
        """Creates the environment, unless a usable one is there."""
        state = digest(str(sys.version_info[:2]), str(self.folder))
        if self.is_done('venv', state) and self.python.exists():
            return
        config = self.folder / 'pyvenv.cfg'
        if self.folder.exists() and any(self.folder.iterdir()):
            self._check_is_ours(config)
        if not self._has_pip():
            say('Creating {} with Python {}.{}.{}'.format(
                self.folder, *sys.version_info[:3]))
            done = subprocess.run(
                [sys.executable, '-m', 'venv', '--clear',
                 str(self.folder)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True)
            if done.returncode != 0:
                shutil.rmtree(str(self.folder), ignore_errors=True)
                raise InstallError(explain_venv_failure(done.stdout))
        self.mark('venv', state)

    def _check_is_ours(self, config):
        if not config.is_file():
            raise InstallError(
                f'{self.folder} is there but is no virtual environment. Move '
                'it away or choose another place: make env VENV=...')
        found = re.search(r'version\S* *= *(\d+)\.(\d+)', config.read_text())
        version = tuple(int(n) for n in found.groups()) if found else None
        if version != tuple(sys.version_info[:2]):
            raise InstallError(
                '{} holds Python {}, and this is Python {}.{}. Remove it (rm '
                '-rf {}) or choose another place: make env VENV=...'.format(
                    self.folder, '.'.join(map(str, version or ['?'])),
                    sys.version_info[0], sys.version_info[1], self.folder))
        if not self._has_pip():
            say(f'{self.folder} is broken or unfinished; building it anew.')

    def _has_pip(self):
        try:
            return subprocess.run([str(self.python), '-m', 'pip', '--version'],
                                  stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL).returncode == 0
        except OSError:
            return False

    def pip(self, what, *arguments):
        """Runs `pip install`; the output is short unless on a terminal.

        Raises:
            InstallError: If it fails, with the remedies.
        """
        command = [str(self.python), '-m', 'pip', 'install', *arguments]
        if not sys.stdout.isatty():
            command.append('-q')
        env = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK='1')
        process = subprocess.Popen(
            command,
            cwd=str(ROOT),
            env=env,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            universal_newlines=True,
            errors='replace')
        errors = []

        def echo():
            for line in process.stderr:
                errors.append(line)
                sys.stderr.write(line)
                sys.stderr.flush()

        reader = threading.Thread(target=echo, daemon=True)
        reader.start()
        code = process.wait()
        reader.join()
        if code != 0:
            raise InstallError(explain_pip_failure(what, ''.join(errors)))


def explain_venv_failure(output):
    """Names the package that brings a missing `venv`."""
    version = '{}.{}'.format(*sys.version_info[:2])
    if 'ensurepip' in output or 'No module named venv' in output:
        return ('This Python cannot make virtual environments: its venv '
                'module is not installed.\nDebian, Ubuntu: apt-get install '
                f'python{version}-venv. Elsewhere: use a Python that has it, '
                'make env PYTHON=...')
    return f'python -m venv failed:\n{output[-2000:]}'


def explain_pip_failure(what, errors):
    """Turns pip's errors into one sentence with a remedy."""
    if 'No space left on device' in errors:
        remedy = 'The disk is full.'
    elif any(word in errors for word in
             ('(from versions: none)', 'Max retries exceeded',
              'Temporary failure in name resolution', 'NewConnectionError',
              'Network is unreachable', 'Connection refused')):
        remedy = ('pip reached no package index: is there a network? Behind '
                  'a proxy set HTTPS_PROXY, for a mirror set PIP_INDEX_URL; '
                  'without a network put the wheels into a folder and set '
                  'PIP_FIND_LINKS=/that/folder PIP_NO_INDEX=1.')
    elif 'No matching distribution' in errors:
        remedy = ('There is no such version for this Python ({}.{}) and '
                  'machine. Another torch: make env TORCH=torch==2.8.0; '
                  'another Python: make env PYTHON=python3.11.'.format(
                      *sys.version_info[:2]))
    else:
        remedy = "See pip's message above."
    return f'pip could not install {what}. {remedy}'


def has_decord_wheel():
    """Whether decord has a wheel here; PyAV reads the videos elsewhere."""
    machine = getattr(os, 'uname', lambda: None)()
    if machine is None:
        return True  # Windows
    return machine.sysname == 'Linux' and machine.machine == 'x86_64'


def install_lint(env):
    """Installs the linter only; nothing has to be compiled for it."""
    state = digest(CONSTRAINTS, REQUIREMENTS / 'lint.txt')
    if env.is_done('lint', state):
        return
    say('Installing the linter')
    env.pip('the linter', '-c', str(CONSTRAINTS), '-r',
            str(REQUIREMENTS / 'lint.txt'))
    env.mark('lint', state)


def install_torch(env, torch):
    """Installs torch and what MMCV is built with."""
    state = digest(torch, CONSTRAINTS, REQUIREMENTS / 'build.txt')
    if not env.is_done('torch', state):
        say(f'[1/5] {torch} and the build tools')
        env.pip(torch, '-c', str(CONSTRAINTS), '-r',
                str(REQUIREMENTS / 'build.txt'), torch)
        env.mark('torch', state)
    return state


def installed(python, package):
    """Returns the requirement that an installed package alone meets.

    By the name that pip knows, and not ``__version__``: torch of PyPI calls
    itself 2.13.0+cu130 and is 2.13.0 to pip.
    """
    code = ('import sys; from importlib.metadata import version; '
            'print(version(sys.argv[1]))')
    done = subprocess.run([str(python), '-c', code, package],
                          capture_output=True,
                          text=True)
    if done.returncode != 0:
        raise InstallError(f'{package} is not installed in this environment:\n'
                           f'{done.stderr[-2000:]}\nRemove the environment '
                           '(rm -rf .venv) and run `make env` again.')
    return f'{package}=={done.stdout.strip()}'


def install_runtime(env, mmcv, before):
    """Installs MMEngine, MMAction2 and the rest, never another torch."""
    names = ['runtime', 'tests'] + (['detection'] if mmcv == 'full' else [])
    files = [REQUIREMENTS / (name + '.txt') for name in names]
    state = digest(before, mmcv, REQUIREMENTS / 'lint.txt', *files)
    if not env.is_done('runtime', state):
        say('[2/5] MMEngine, MMAction2 and the rest')
        keep = env.folder / 'torch-constraint.txt'
        keep.write_text(installed(env.python, 'torch') + '\n')
        limits = ['-c', str(CONSTRAINTS), '-c', str(keep)]
        if not has_decord_wheel():
            # MMAction2 requires decord, without which it works, too.
            env.pip('MMAction2', *limits, '--no-deps', 'mmaction2')
            env.pip("MMAction2's requirements", *limits, 'einops', 'scipy',
                    'Pillow')
            text = (REQUIREMENTS / 'runtime.txt').read_text()
            files[0] = env.folder / 'runtime.txt'
            files[0].write_text(text.replace('\nmmaction2\n', '\n'))
        arguments = [word for file in files for word in ('-r', str(file))]
        env.pip('MMEngine, MMAction2 and the rest', *limits, *arguments)
        env.mark('runtime', state)
    return state


def install_mmcv(env, mmcv, before):
    """Installs MMCV with compiled operators, or mmcv-lite."""
    state = digest(before, ROOT / 'tools' / 'dev' / 'build_mmcv.py')
    if not env.is_done('mmcv', state):
        say(f'[3/5] MMCV ({mmcv})')
        if mmcv == 'full':
            say('  mmcv: ' +
                ensure_mmcv(env.python, env.folder / 'mmcv-build.log'))
        else:
            uninstall_mmcv(env.python)
            env.pip('mmcv-lite', '-c', str(CONSTRAINTS), 'mmcv-lite')
        env.mark('mmcv', state)
    return state


def install_project(env, before):
    """Installs this project, editable."""
    state = digest(before, str(ROOT), ROOT / 'setup.cfg',
                   ROOT / 'pyproject.toml')
    if not env.is_done('project', state):
        say('[4/5] mmaction_memvit (editable)')
        env.pip('mmaction_memvit', '--no-deps', '--no-build-isolation', '-e',
                str(ROOT))
        env.mark('project', state)
    return state


def check(env, mmcv, before):
    """Looks at the result with tools/check_env.py."""
    if env.is_done('check', before):
        return
    say('[5/5] Checking the environment')
    command = [str(env.python), str(ROOT / 'tools' / 'check_env.py')]
    if mmcv == 'full':
        command.append('--detection')
    if subprocess.run(command).returncode != 0:
        raise InstallError('The environment is not sound: see the table '
                           'above, then run `make env` again.')
    env.mark('check', before)


def main():
    """Runs the steps that are not done yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--venv', default='.venv', help='where to build it')
    parser.add_argument('--torch', default=DEFAULT_TORCH, help='which torch')
    parser.add_argument(
        '--mmcv',
        default='full',
        choices=['full', 'lite'],
        help='full: with compiled operators; lite: recognition only')
    parser.add_argument(
        '--only-lint', action='store_true', help='install the linter alone')
    args = parser.parse_args()
    try:
        check_python()
        env = Environment((ROOT / args.venv).resolve())
        env.create()
        if args.only_lint:
            install_lint(env)
            return
        state = install_torch(env, choose_torch(args.torch))
        state = install_runtime(env, args.mmcv, state)
        state = install_mmcv(env, args.mmcv, state)
        state = install_project(env, state)
        check(env, args.mmcv, state)
        if sys.stdout.isatty():
            print(f'Activate it: . {args.venv}/bin/activate')
    except InstallError as error:
        sys.exit(f'\nError: {error}')
    except KeyboardInterrupt:
        sys.exit('\nInterrupted. `make env` goes on where it stopped.')


if __name__ == '__main__':
    main()
