#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Prints what is installed, what works, and the command that mends the rest.

    python tools/check_env.py [--detection]

Exits with 1 if recognition (with --detection: detection) does not work.
Needs the standard library only, and runs where nothing else is installed.
"""
import argparse
import importlib
import os
import re
import sys
import warnings
from importlib import metadata, util
from pathlib import Path

OK, LACKS, BAD = 'ok', 'no', 'WRONG'
# What else is shown, by the names that pip knows.
SHOWN = ('opencv-python', 'opencv-contrib-python', 'pandas', 'av', 'decord',
         'triton', 'torchvision', 'transformers')


def load_versions():
    """Loads compat/versions.py by its path: the package may not import."""
    here = Path(__file__).resolve()
    # In a checkout, and in .mim/tools of an installed package.
    folders = here.parents[1] / 'mmaction_memvit', here.parents[2]
    path, = (path for path in (f / 'compat' / 'versions.py' for f in folders)
             if path.exists())
    spec = util.spec_from_file_location('versions', str(path))
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


versions = load_versions()


class Report:
    """Rows of the table, and the commands that mend what is wrong."""

    def __init__(self):
        self.rows, self.commands = [], []

    def add(self, name, found, state=OK, remark='', remedy=''):
        """Adds a row; ``remedy`` holds commands in backticks."""
        self.rows.append((name, found, state, remark))
        self.commands += re.findall('`((?:pip|apt-get) [^`]+)`', remedy)

    def command(self):
        """Returns one command of all: apt-get, pip uninstall, pip install."""
        merged = {}
        for start in ('apt-get install', 'pip uninstall -y', 'pip install'):
            words = [word for command in self.commands
                     if command.startswith(start + ' ')
                     for word in command[len(start):].split()]
            merged[start] = list(dict.fromkeys(words))
        return ' && '.join(
            start.replace('pip', f'{sys.executable} -m pip') + ' ' +
            ' '.join(words) for start, words in merged.items() if words)

    def __str__(self):
        rows = [('', 'found', 'state', ''), *self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = ['  '.join([*map(str.ljust, row, widths), row[3]]).rstrip()
                 for row in rows]
        return '\n'.join([lines[0], '-' * (sum(widths) + 4), *lines[1:]])


def version_of(distribution):
    """Returns the version of an installed distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def add_host(report, module):
    """Adds a library of the host: its version, and who else writes it."""
    low, high = versions.SUPPORTED_VERSIONS[module]
    if module == 'python':
        found = {module: '.'.join(map(str, sys.version_info[:3]))}
    elif module in versions.DISTRIBUTIONS:
        found = versions.installed(module)
    else:
        found = {module: version_of(module)} if version_of(module) else {}
    number = versions.release(next(iter(found.values()), ''))
    state, remark, remedy = BAD, '', versions.REMEDIES.get(module, '')
    if not found:
        state, remark = LACKS if module == 'mmdet' else BAD, 'not installed'
    elif len(found) > 1:
        remark = f'all of them write the folder {module}/'
        remedy = f'`pip uninstall -y {" ".join(found)}` {remedy}'
    elif number < versions.release(low) or (
            high and number >= versions.release(high)):
        remark = f'must be >= {low}' + (f' and < {high}' if high else '')
    else:
        state = OK
        if module == 'mmcv' and number >= versions.release(
                versions.FIRST_REFUSED_MMCV):
            remark = "MMAction2's own tools refuse it; ours do not"
        if not remark or 'mmcv-lite' not in found:
            remedy = ''
    text = ', '.join(v if n == module else f'{n} {v}'
                     for n, v in found.items())
    report.add(module, text or '-', state, remark, remedy)


def try_recognition():
    """Runs a tiny MeMViT; returns a remark."""
    import mmaction_memvit  # first: it heals what the others need
    import torch  # isort: skip
    from mmaction.registry import MODELS  # isort: skip
    if util.find_spec('pkg_resources') is None:
        raise ImportError('no `_base_` of another package is found: '
                          + versions.REMEDIES['pkg_resources'])
    arch = dict(embed_dims=16, num_layers=1, num_heads=1, downscale_indices=[])
    model = MODELS.build(
        dict(type='MeMViT', arch=arch, spatial_size=32, temporal_size=4))
    with torch.no_grad():
        model(torch.zeros(1, 3, 4, 32, 32))
    return f'mmaction_memvit {mmaction_memvit.__version__}'


def try_detection():
    """Takes the features of one box; returns a remark."""
    import torch
    from mmdet.registry import MODELS

    from mmaction_memvit.compat import ops_are_compiled
    from mmaction_memvit.models.detectors import OnlineFastRCNN  # noqa: F401
    extractor = MODELS.build(
        dict(type='SingleRoIExtractor3D', roi_layer_type='RoIAlign',
             output_size=2))
    extractor(torch.zeros(1, 4, 2, 8, 8), torch.tensor([[0., 0., 0., 9., 9.]]))
    return 'RoIAlign ' + ("of MMCV's operators"
                          if ops_are_compiled() else 'in PyTorch')


def try_video():
    """Loads the decoders; returns their names."""
    found = []
    for module in ('av', 'decord'):
        try:
            importlib.import_module(module)
            found.append(f'{module} {version_of(module)}')
        except (ImportError, OSError):
            continue
    if not found:
        raise ImportError('neither av nor decord loads: `pip install '
                          'av`')
    return ', '.join(found)


def try_export():
    """Looks for torch.export and what ONNX needs; returns a remark."""
    importlib.import_module('torch.export')
    missing = [name for name in ('onnx', 'onnxscript')
               if util.find_spec(name) is None]
    return 'torch.export' + (f'; for ONNX install {" ".join(missing)}'
                             if missing else ', ONNX')


def try_kernels():
    """Looks for a GPU and Triton; returns a remark."""
    import torch
    if not torch.cuda.is_available():
        raise ImportError('no GPU; operators in plain PyTorch serve the CPU')
    importlib.import_module('triton')
    return torch.cuda.get_device_name()


def add_ability(report, name, attempt, needed=False):
    """Adds what works, by doing it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            report.add(name, 'works', OK, attempt())
    except Exception as error:  # a broken binary may raise anything
        text = str(error).strip() or type(error).__name__
        report.add(name, '-', BAD if needed else LACKS, text.splitlines()[0],
                   text)


def collect(detection=False):
    """Makes the report: libraries first, then what works with them."""
    report = Report()
    for module in versions.SUPPORTED_VERSIONS:
        add_host(report, module)
    for name in SHOWN:
        report.add(name, version_of(name) or '-')
    opencv = {version_of(name) for name in SHOWN[:2]}
    if None not in opencv and len(opencv) == 2:
        report.add('cv2', 'two versions', OK, 'into one folder; best equal')
    add_ability(report, 'recognition', try_recognition, True)
    add_ability(report, 'detection', try_detection, detection)
    add_ability(report, 'video', try_video)
    add_ability(report, 'export', try_export)
    add_ability(report, 'Triton kernels', try_kernels)
    return report


def main():
    """Prints the report; returns 1 if something needed is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--detection', action='store_true', help='detection has to work, too')
    args = parser.parse_args()
    # A clone that is not installed is found, too, when run from its root.
    sys.path.append(os.getcwd())
    report = collect(args.detection)
    print(report)
    is_wrong = any(state == BAD for _, _, state, _ in report.rows)
    if report.command():
        print(f'\nThis mends the rest:\n  {report.command()}')
    print('\n' + ('Something is WRONG.' if is_wrong else 'All is well.'))
    return int(is_wrong)


if __name__ == '__main__':
    sys.exit(main())
