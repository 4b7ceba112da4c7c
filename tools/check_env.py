#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Prints what is installed, what is wrong with it, and how to mend it.

    python tools/check_env.py [--detection]

Exits with 1 if something that is needed is wrong. Standard library only, so
that it runs where nothing is installed.
"""
import argparse
import ctypes
import importlib
import os
import platform
import re
import sys
import warnings

try:
    from importlib import metadata
except ImportError:  # Python < 3.8, which the first row complains about
    metadata = None

OK, WARN, BAD = 'ok', 'note', 'WRONG'
PIP = f'{sys.executable} -m pip install '
NUMPY_REMEDY = (
    PIP + 'numpy==1.26.4 opencv-python==4.11.0.86 '
    'opencv-contrib-python==4.11.0.86')
UNINSTALL = f'{sys.executable} -m pip uninstall -y mmcv mmcv-lite'
OPS_REMEDY = (
    f'make env, or by hand: {UNINSTALL} && ' + PIP +
    '"setuptools<82" wheel ninja psutil && MMCV_WITH_OPS=1 ' + PIP +
    '--no-build-isolation --no-deps --no-cache-dir mmcv==2.1.0')


class Row:
    """One line of the table.

    Args:
        name (str): What was looked at.
        found (str): What was found.
        state (str): OK, WARN or BAD. Defaults to OK.
        remark (str): What is wrong. Defaults to ''.
        remedy (str): The command that mends it. Defaults to ''.
    """

    def __init__(self, name, found, state=OK, remark='', remedy=''):
        self.name = name
        self.found = found
        self.state = state
        self.remark = remark
        self.remedy = remedy


def version_of(package):
    """Returns the installed version of a distribution, or None."""
    if metadata is None:
        return None
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def numbers(version):
    """Turns '2.13.0+cpu' into (2, 13, 0)."""
    return tuple(int(n) for n in re.findall(r'\d+', version.split('+')[0])[:3])


def try_import(name):
    """Imports a module; returns it and None, or None and the error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            return importlib.import_module(name), None
    except BaseException as error:  # a broken binary may raise anything
        if isinstance(error, KeyboardInterrupt):
            raise
        lines = str(error).strip().splitlines() or ['']
        return None, f'{type(error).__name__}: {lines[0]}'


def judge_version(name, version, low, high, remedy, missing=BAD):
    """Judges a version against its limits.

    Args:
        name (str): The row's name.
        version (str | None): What is installed, None if nothing is.
        low (str | None): The lowest version that works.
        high (str | None): The first version that does not.
        remedy (str): The command that mends it.
        missing (str): The state if nothing is installed. Defaults to BAD.

    Returns:
        Row: The row.
    """
    if version is None:
        return Row(name, '-', missing, 'not installed', remedy)
    if low and numbers(version) < numbers(low):
        return Row(name, version, BAD, f'older than {low}', remedy)
    if high and numbers(version) >= numbers(high):
        return Row(name, version, BAD, f'must be older than {high}', remedy)
    return Row(name, version)


def check_python():
    """Python 3.9 to 3.12."""
    remedy = 'make env PYTHON=python3.11'
    version = platform.python_version()
    row = judge_version('python', version, '3.9', '3.13', remedy)
    if row.state == BAD:
        row.remark += '; the packages below exist for 3.9 to 3.12'
    return row


def check_torch():
    """Torch >= 2.1, and what it computes on."""
    row = judge_version('torch', version_of('torch'), '2.1', None,
                        PIP + 'torch==2.13.0')
    rows = [row]
    if row.state == OK:
        torch, error = try_import('torch')
        if error:
            row.state, row.remark = BAD, 'does not import: ' + error
            row.remedy = PIP + '--force-reinstall torch=={}'.format(
                row.found.split('+')[0])
        elif torch.cuda.is_available():
            rows.append(
                Row('CUDA',
                    f'{torch.version.cuda}, {torch.cuda.get_device_name()}'))
        else:
            rows.append(Row('CUDA', 'no GPU', OK, 'runs on the CPU'))
    vision = version_of('torchvision')
    rows.append(Row('torchvision', vision or '-', OK, '' if vision else
                    'not needed'))
    return rows


def check_numpy():
    """NumPy 1.26, or 2 with restrictions."""
    row = judge_version('numpy', version_of('numpy'), '1.21', None,
                        NUMPY_REMEDY)
    if row.state == OK:
        error = try_import('numpy')[1]
        if error:
            row.state, row.remark = BAD, 'does not import: ' + error
            row.remedy = NUMPY_REMEDY
        elif numbers(row.found)[0] >= 2:
            row.state, row.remedy = WARN, NUMPY_REMEDY
            row.remark = ('recognition works; parts of MMAction2 and '
                          'MMDetection use what NumPy 2 removed')
    return row


def library_remedy(error):
    """Names the system package for a shared library that cv2 misses."""
    match = re.search(r'(lib\w+)[-.\d]*\.so', error)
    package = {
        'libGL': 'libgl1',
        'libgthread': 'libglib2.0-0',
        'libglib': 'libglib2.0-0',
        'libSM': 'libsm6',
        'libXext': 'libxext6',
        'libXrender': 'libxrender1'
    }.get(match.group(1) if match else '')
    if package:
        return (f'apt-get install {package} (Debian, Ubuntu; elsewhere the '
                f'package with {match.group(1)})')
    if 'numpy' in error.lower():
        return NUMPY_REMEDY
    return NUMPY_REMEDY.replace('install', 'install --force-reinstall')


def check_opencv():
    """Both OpenCV packages, of one version, and cv2 must load."""
    pair = [version_of('opencv-python'), version_of('opencv-contrib-python')]
    headless = (version_of('opencv-python-headless')
                or version_of('opencv-contrib-python-headless'))
    row = Row('opencv', ' / '.join(version or '-' for version in pair))
    if headless:
        row.found += f' / headless {headless}'
    error = try_import('cv2')[1]
    if error:
        row.state, row.remark = BAD, 'cv2 does not import: ' + error
        row.remedy = library_remedy(error)
        if 'No module named' in error:
            row.remedy = NUMPY_REMEDY
    elif pair[0] and pair[1] and pair[0] != pair[1]:
        row.state, row.remedy = BAD, NUMPY_REMEDY
        row.remark = ('opencv-python and opencv-contrib-python write into '
                      'one folder and must have one version')
    return row, error


def check_system_libraries(cv2_error):
    """The libraries of the system that OpenCV's packages load."""
    names = ['libGL.so.1', 'libgthread-2.0.so.0']
    if not sys.platform.startswith('linux'):
        return Row('libGL, glib', '-', OK, 'not needed on this system')
    missing = []
    for name in names:
        try:
            ctypes.CDLL(name)
        except OSError:
            missing.append(name)
    if not missing:
        return Row('libGL, glib', 'load')
    is_needed = cv2_error and any(name in cv2_error for name in missing)
    return Row('libGL, glib', 'missing: ' + ', '.join(missing),
               BAD if is_needed else OK,
               'OpenCV needs them' if is_needed else 'cv2 does not ask for it',
               'apt-get install libgl1 libglib2.0-0' if is_needed else '')


def check_mmengine():
    """MMEngine, and pkg_resources, which it looks configs up with."""
    row = judge_version('mmengine', version_of('mmengine'), '0.10.3', '1.0.0',
                        PIP + 'mmengine==0.10.7')
    if row.state == OK:
        error = try_import('mmengine')[1]
        if error:
            row.state, row.remark = BAD, 'does not import: ' + error
            row.remedy = PIP + '--force-reinstall mmengine==0.10.7'
    tools = Row('setuptools', version_of('setuptools') or '-')
    if try_import('pkg_resources')[1]:
        tools.state, tools.remedy = BAD, PIP + '"setuptools<82"'
        tools.remark = ('no pkg_resources, without which MMEngine finds no '
                        "`_base_ = 'mmaction::...'`")
    return [row, tools]


def check_mmcv(detection):
    """MMCV or mmcv-lite, not both, and the compiled operators."""
    full, lite = version_of('mmcv'), version_of('mmcv-lite')
    lite_remedy = PIP + 'mmcv-lite==2.1.0 (recognition), or make env'
    row = judge_version('mmcv', full or lite, '2.0.0', '2.2.0', lite_remedy)
    if full and lite:
        row.found, row.state = f'{full} and mmcv-lite {lite}', BAD
        row.remark = 'both write into one folder'
        row.remedy = f'{UNINSTALL}, then make env'
    elif lite:
        row.name = 'mmcv-lite'
    if row.state == OK:
        error = try_import('mmcv')[1]
        if error:
            row.state, row.remark = BAD, 'does not import: ' + error
            row.remedy = lite_remedy
            if "'mmengine'" in error:
                row.remedy = PIP + 'mmengine==0.10.7'
    if row.state == BAD:
        return [row]
    error = try_import('mmcv.ops')[1]
    ops = Row('mmcv operators', 'load')
    if error:
        ops.found = 'do not load'
        ops.state = BAD if detection or full else WARN
        ops.remark = ('recognition works without, detection does not' if lite
                      else error)
        ops.remedy = OPS_REMEDY
    return [row, ops]


def check_mmaction():
    """MMAction2; what its wheel lacks is healed by mmaction_memvit."""
    return judge_version('mmaction2', version_of('mmaction2'), '1.2.0',
                         '2.0.0', PIP + 'mmaction2==1.2.0')


def check_mmdet(detection):
    """MMDetection, which only detection needs."""
    row = judge_version('mmdet', version_of('mmdet'), '3.1.0', '3.4.0',
                        PIP + 'mmdet==3.3.0', BAD if detection else WARN)
    if row.found == '-':
        row.remark = 'not installed; needed for detection only'
    elif row.state == OK:
        error = try_import('mmdet.models')[1]
        if error:
            row.state = BAD if detection else WARN
            row.remark = 'does not import: ' + error
            row.remedy = OPS_REMEDY if 'mmcv' in error else row.remedy
            row.remedy = row.remedy or PIP + '--force-reinstall mmdet==3.3.0'
    return row


def check_decoders():
    """Decord or PyAV: one of them must read videos."""
    rows = []
    for name, package in (('decord', 'decord'), ('PyAV', 'av')):
        version, error = version_of(package), try_import(package)[1]
        row = Row(name, version or '-')
        if version and error:
            row.state, row.remark = WARN, 'does not import: ' + error
        elif error:
            row.state, row.remark = WARN, 'not installed'
        row.remedy = PIP + package if error else ''
        rows.append(row)
    if all(row.state != OK for row in rows):
        for row in rows:
            row.state = BAD
            row.remark += '; one of decord and PyAV is needed'
    return rows


def check_project():
    """This project itself: importing it heals and checks the rest."""
    version = version_of('mmaction_memvit')
    module, error = try_import('mmaction_memvit')
    row = Row('mmaction_memvit', version or 'not installed')
    if error:
        row.state, row.remark = BAD, error
        row.remedy = 'see above'
        if "No module named 'mmaction_memvit'" in error:
            row.remark = 'not installed'
            row.remedy = PIP + '-e . (in the clone)'
    else:
        row.found = f'{module.__version__}, {os.path.dirname(module.__file__)}'
        if version is None:
            row.remark = 'not installed, found through the working directory'
    return row


def collect(detection=False):
    """Makes all rows, in the order in which things build on each other."""
    rows = [check_python(), *check_torch(), check_numpy()]
    opencv, cv2_error = check_opencv()
    rows += [opencv, check_system_libraries(cv2_error), *check_mmengine()]
    rows += [*check_mmcv(detection), check_mmaction(), check_mmdet(detection)]
    rows += check_decoders()
    rows.append(check_project())
    return rows


def format_table(rows):
    """Returns the table, and below it what to do about each problem."""
    header = Row('part', 'found', 'state', 'remark')
    lines = []
    width_name = max(len(row.name) for row in [header, *rows])
    width_found = max(len(row.found) for row in [header, *rows])
    for row in [header, *rows]:
        line = (f'{row.name:<{width_name}}  {row.found:<{width_found}}  '
                f'{row.state:<5}  {row.remark}')
        lines.append(line.rstrip())
    lines.insert(1, '-' * (width_name + width_found + 9))
    for state, title in ((BAD, 'To mend'), (WARN, 'If you need it')):
        found = [row for row in rows if row.state == state and row.remedy]
        if found:
            lines += ['', f'{title}:']
            lines += [f'  {row.name}: {row.remedy}' for row in found]
    return '\n'.join(lines)


def main():
    """Prints the table; returns 1 if something that is needed is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--detection',
        action='store_true',
        help='also require what detection needs: compiled operators of MMCV '
        'and MMDetection')
    args = parser.parse_args()
    # A clone that is not installed is found, too, when run from its root.
    sys.path.append(os.getcwd())
    rows = collect(args.detection)
    print(format_table(rows))
    is_wrong = any(row.state == BAD for row in rows)
    print('\n' + ('Something is WRONG, see above.'
                  if is_wrong else 'Everything needed is there.'))
    return int(is_wrong)


if __name__ == '__main__':
    sys.exit(main())
