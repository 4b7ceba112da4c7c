#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Gets MMCV with compiled operators into a Python environment.

In this order: keep what is there if its operators load; a wheel from the
user's cache; a prebuilt wheel, where one may exist; compile one and put it
into the cache. The cache's key holds torch's version, which pip's does not.
Standard library only: it runs before anything is installed.
"""
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

MMCV_VERSION = '2.1.0'
# Prebuilt wheels stop with torch 2.1.
FIRST_TORCH_WITHOUT_WHEELS = (2, 2)

# Runs in the environment: what the wheel has to fit.
PROBE = """
import json, sysconfig, torch
from torch.utils.cpp_extension import CUDA_HOME
has_gpu = torch.cuda.is_available()
print(json.dumps(dict(
    torch=torch.__version__,
    python='cp' + sysconfig.get_config_var('py_version_nodot'),
    platform=sysconfig.get_platform().replace('-', '_').replace('.', '_'),
    cuda=torch.version.cuda or '',
    cuda_home=CUDA_HOME or '',
    gpu='%d%d' % torch.cuda.get_device_capability() if has_gpu else '',
    include=sysconfig.get_paths()['include'])))
"""


class InstallError(Exception):
    """Something that the user has to mend; the message says how."""


def say(text):
    """Prints a line at once, also into a pipe."""
    print(text, flush=True)


def cache_root():
    """Returns the user's cache folder of this project."""
    own = os.environ.get('MMACTION_MEMVIT_CACHE')
    if own:
        return Path(own).expanduser()
    base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return Path(base).expanduser() / 'mmaction_memvit'


def probe(python):
    """Asks an environment for the facts that a wheel must fit."""
    done = subprocess.run([str(python), '-c', PROBE],
                          capture_output=True,
                          text=True)
    if done.returncode != 0:
        raise InstallError('torch does not import in this environment:\n' +
                           done.stderr[-2000:] + '\nRemove the environment '
                           '(rm -rf .venv) and run `make env` again.')
    return json.loads(done.stdout.strip().splitlines()[-1])


def with_cuda(facts):
    """Whether CUDA operators are compiled: needs a GPU and a toolkit."""
    return bool(facts['cuda'] and facts['gpu'] and facts['cuda_home'])


def wheel_key(facts):
    """Names the folder of the cache for wheels that fit ``facts``."""
    kind = 'sm' + facts['gpu'] if with_cuda(facts) else 'cpu'
    return '-'.join([
        'mmcv' + MMCV_VERSION, 'torch' + facts['torch'], facts['python'],
        facts['platform'], kind
    ])


def cached_wheel(facts):
    """Returns the wheel in the cache that fits, or None."""
    folder = cache_root() / 'wheels' / wheel_key(facts)
    wheels = sorted(folder.glob(f'mmcv-{MMCV_VERSION}-*.whl'))
    return wheels[-1] if wheels else None


def ops_load(python):
    """Whether the right MMCV is there and its extension really loads."""
    code = ('import mmcv, mmcv.ops, mmcv._ext, sys; '
            f'sys.exit(mmcv.__version__ != {MMCV_VERSION!r})')
    done = subprocess.run([str(python), '-W', 'ignore', '-c', code],
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    return done.returncode == 0


def uninstall_mmcv(python):
    """Removes both packages: they write into one folder."""
    subprocess.run([
        str(python), '-m', 'pip', 'uninstall', '-q', '-y', 'mmcv', 'mmcv-lite'
    ], stderr=subprocess.DEVNULL)


def pip_install(python, *arguments):
    """Runs pip quietly; returns whether it succeeded."""
    command = [str(python), '-m', 'pip', 'install', '-q', *arguments]
    return subprocess.run(command).returncode == 0


def install_wheel(python, wheel):
    """Installs a wheel and returns whether its operators load."""
    done = pip_install(python, '--no-deps', '--no-index', '--force-reinstall',
                       str(wheel))
    return done and ops_load(python)


def may_have_prebuilt(facts):
    """Whether the makers of MMCV may offer a wheel for this torch."""
    numbers = re.findall(r'\d+', facts['torch'])
    return tuple(int(n) for n in numbers[:2]) < FIRST_TORCH_WITHOUT_WHEELS


def install_prebuilt(python, log):
    """Tries a prebuilt wheel through openmim, the makers' own installer.

    openmim is put into a throw-away folder, since it pins old versions of
    common packages. It must neither compile nor touch other packages.
    """
    with tempfile.TemporaryDirectory() as folder, open(str(log), 'a') as out:
        streams = {'stdout': out, 'stderr': subprocess.STDOUT}
        done = subprocess.run([
            str(python), '-m', 'pip', 'install', '-q', '--target', folder,
            'openmim'
        ], **streams)
        if done.returncode != 0:
            return False
        env = dict(
            os.environ,
            PYTHONPATH=folder,
            PIP_ONLY_BINARY=':all:',
            PIP_NO_DEPS='1')
        subprocess.run([
            str(python), '-m', 'mim', 'install',
            f'mmcv=={MMCV_VERSION}'
        ], env=env, **streams)
    return ops_load(python)


def check_compiler(facts):
    """Raises InstallError with a remedy unless C++ can be compiled."""
    names = [os.environ.get('CXX'), 'c++', 'g++', 'clang++']
    if not any(shutil.which(name.split()[0]) for name in names if name):
        raise InstallError(
            'MMCV has to be compiled for torch {} and there is no C++ '
            'compiler (looked for CXX, c++, g++, clang++).\nInstall one '
            '(Debian, Ubuntu: apt-get install build-essential; Fedora: dnf '
            'install gcc-c++; macOS: xcode-select --install),\nor do '
            'without compiled operators, which is enough for recognition: '
            'make env MMCV=lite'.format(facts['torch']))
    if not os.path.isfile(os.path.join(facts['include'], 'Python.h')):
        raise InstallError(
            "MMCV has to be compiled and Python's headers are missing "
            '({}).\nInstall them (Debian, Ubuntu: apt-get install '
            'python3-dev), or use another Python: make env PYTHON=...'.format(
                os.path.join(facts['include'], 'Python.h')))


def default_jobs():
    """Compiler processes at once: one per core and per GiB of memory."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    try:
        gib = (os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') //
               2**30)
    except (AttributeError, ValueError, OSError):
        gib = cores
    return max(1, min(cores, gib))


def clock(seconds):
    """Formats seconds as m:ss."""
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'


class Progress:
    """Shows the compiler's progress from its output.

    On a terminal one line that is rewritten, elsewhere (CI logs) a new line
    every ``interval`` seconds.

    Args:
        stream (file): Where to write.
        interval (float): Seconds between lines. Defaults to 20.
    """

    def __init__(self, stream=sys.stdout, interval=20.0):
        self.stream = stream
        self.is_tty = stream.isatty()
        self.interval = 0.5 if self.is_tty else interval
        self.started = self.compile_started = time.monotonic()
        self.shown = None
        self.done = self.total = 0
        self.phase = 'getting the sources'

    def feed(self, line):
        """Reads one line of output of pip, setup.py or ninja."""
        match = re.match(r'\s*\[(\d+)/(\d+)\]', line)
        if match:
            if not self.total:
                self.compile_started = time.monotonic()
            self.done, self.total = int(match.group(1)), int(match.group(2))
            self.phase = 'compiling'
            if self.done == self.total:
                self.phase = 'linking and packing'
        elif 'Running setup.py bdist_wheel' in line or 'running build' in line:
            self.phase = 'preparing'

    def text(self, now):
        """Says how far it is, and roughly how long it will take."""
        text = f'  mmcv: {self.phase}'
        if self.total:
            text += f' [{self.done}/{self.total}]'
        text += f', {clock(now - self.started)} so far'
        if 0 < self.done < self.total:
            spent = now - self.compile_started
            rest = spent / self.done * (self.total - self.done)
            text += f', about {clock(rest)} left'
        return text

    def show(self):
        """Writes the state if it is time to."""
        now = time.monotonic()
        if self.shown is not None and now - self.shown < self.interval:
            return
        self.shown = now
        if self.is_tty:
            self.stream.write('\r' + self.text(now) + '\033[K')
        else:
            self.stream.write(self.text(now) + '\n')
        self.stream.flush()

    def close(self):
        """Ends the rewritten line."""
        if self.is_tty:
            self.stream.write('\n')
            self.stream.flush()


def explain_failure(lines, log):
    """Turns a failed build's output into a message with a remedy."""
    text = '\n'.join(lines)
    if 'Killed' in text or 'out of memory' in text:
        remedy = ('The compiler ran out of memory. Compile fewer files at '
                  'once: MAX_JOBS=1 make env')
    elif 'No space left on device' in text:
        remedy = ('The disk is full. Free some space, or build elsewhere: '
                  'TMPDIR=/a/roomy/folder make env')
    elif any(word in text for word in
             ('No matching distribution', 'Could not find a version',
              'Temporary failure in name resolution', 'ConnectionError')):
        remedy = (f'pip found no sources of mmcv {MMCV_VERSION}: is there a '
                  'network? Behind a proxy set HTTPS_PROXY; without a network '
                  f'put mmcv-{MMCV_VERSION}.tar.gz into a folder and set '
                  'PIP_FIND_LINKS to it.')
    else:
        remedy = ('Recognition works without compiled operators: '
                  'make env MMCV=lite')
    errors = [
        line for line in lines
        if re.search('error:|Error:|ERROR:|No space left|out of memory', line)
        # pip's own words about every failed build
        and 'subprocess-exited-with-error' not in line
    ] or lines
    return 'Compiling mmcv failed:\n{}\n\n{}\nThe full log: {}'.format(
        '\n'.join(errors[-8:]), remedy, log)


def run_logged(command, env, log, progress):
    """Runs a command, its output into ``log``; returns code, last lines."""
    process = subprocess.Popen(
        command,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        universal_newlines=True,
        errors='replace')
    lines = queue.Queue()

    def read():
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    kept = []
    try:
        with open(str(log), 'a', 1, encoding='utf-8') as file:
            while True:
                try:
                    line = lines.get(timeout=0.5)
                except queue.Empty:
                    line = ''  # nothing new, but the clock goes on
                if line is None:
                    break
                if line:
                    file.write(line)
                    kept = kept[-200:] + [line.rstrip()]
                    progress.feed(line)
                progress.show()
        return process.wait(), kept
    except BaseException:  # Ctrl-C: the compilers must not go on alone
        process.terminate()
        raise
    finally:
        progress.close()


def compile_wheel(python, facts, log):
    """Compiles MMCV and returns the wheel's path in the cache.

    Raises:
        InstallError: If it fails, with the log's path and a remedy.
    """
    check_compiler(facts)
    env = dict(os.environ, MMCV_WITH_OPS='1', PYTHONUNBUFFERED='1')
    # torch calls ninja by its name; without it, it compiles file by file.
    env['PATH'] = str(Path(python).parent) + os.pathsep + env.get('PATH', '')
    env.setdefault('MAX_JOBS', str(default_jobs()))
    if facts['gpu'] and not with_cuda(facts):
        say('  No CUDA toolkit (nvcc, CUDA_HOME): compiling for the CPU only.')
        env['CUDA_VISIBLE_DEVICES'] = ''
    say('  Compiling mmcv {} for torch {}, {} at once: 77 files, 6 to 15 '
        'minutes on 2 cores, once per torch version.\n  Log: {}'.format(
            MMCV_VERSION, facts['torch'], env['MAX_JOBS'], log))
    with tempfile.TemporaryDirectory() as folder:
        code, lines = run_logged([
            str(python), '-m', 'pip', 'wheel', '-v', '--no-build-isolation',
            '--no-deps', '--no-cache-dir', '--wheel-dir', folder,
            f'mmcv=={MMCV_VERSION}'
        ], env, log, Progress())
        built = sorted(Path(folder).glob('mmcv-*.whl'))
        if code != 0 or not built:
            raise InstallError(explain_failure(lines, log))
        target = cache_root() / 'wheels' / wheel_key(facts) / built[0].name
        target.parent.mkdir(parents=True, exist_ok=True)
        # Under another name first: a half-written wheel must not be found.
        partial = target.with_suffix('.part')
        shutil.copyfile(str(built[0]), str(partial))
        os.replace(str(partial), str(target))
    return target


def ensure_mmcv(python, log):
    """Makes MMCV with compiled operators importable.

    Args:
        python (str | Path): The environment's interpreter; it has torch,
            setuptools < 82, wheel, ninja, psutil and what MMCV imports.
        log (str | Path): Where the full output of the build goes.

    Returns:
        str: What was done.

    Raises:
        InstallError: If it cannot be done, with a remedy.
    """
    if ops_load(python):
        return 'kept: its operators load'
    Path(str(log)).write_text('')
    facts = probe(python)
    uninstall_mmcv(python)
    wheel = cached_wheel(facts)
    if wheel:
        say(f'  From the cache: {wheel}')
        if install_wheel(python, wheel):
            return 'installed from the cache'
        say('  That wheel does not load here; building anew.')
    if may_have_prebuilt(facts):
        say('  Looking for a prebuilt wheel (openmim)')
        if install_prebuilt(python, log):
            return 'installed a prebuilt wheel'
    wheel = compile_wheel(python, facts, log)
    if not install_wheel(python, wheel):
        raise InstallError(
            f'The wheel just compiled does not load: {wheel}\n'
            f'Try `{python} -c "import mmcv.ops"` to see why.')
    return 'compiled'


def main():
    """Installs MMCV into the environment that runs this script."""
    log = Path(sysconfig.get_paths()['data']) / 'mmcv-build.log'
    try:
        say('mmcv ' + ensure_mmcv(sys.executable, log))
    except InstallError as error:
        sys.exit(f'\n{error}')


if __name__ == '__main__':
    main()
