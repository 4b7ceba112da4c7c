# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Runs the tools, and copies configs, wherever the package is installed.

::

    python -m mmaction_memvit                            # what there is
    python -m mmaction_memvit train my_config.py         # tools/train.py
    python -m mmaction_memvit copy detection my_config.py
"""
import os
import runpy
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Dict

FOLDER = Path(__file__).parent / '.mim'
#: Where the complete configs for own videos are.
OWN_VIDEOS = {
    'recognition': 'recognition/memvit',
    'detection': 'detection/memvit',
    'anticipation': 'anticipation/memvit',
    'collaborative': 'recognition/collaborative',
    'backbone': 'recognition/stream_memory',
}
COPY = ('python -m mmaction_memvit copy CASE FILE: a config for '
        f'{", ".join(OWN_VIDEOS)} on your own videos')


def find_tools(package: Path = FOLDER.parent) -> Dict[str, Path]:
    """All tools of a package, by their names."""
    return {path.stem: path
            for path in sorted(package.glob('.mim/tools/**/*.py'))
            if "__name__ == '__main__'" in path.read_text(encoding='utf-8')}


def copy_config(case: str, target: str) -> None:
    """Copies the config for own videos of a case."""
    if case not in OWN_VIDEOS:
        raise SystemExit(f'There is no config for {case}. Remedy: one of '
                         f'{", ".join(OWN_VIDEOS)}.')
    if os.path.exists(target):
        raise SystemExit(f'{target} exists. Remedy: name another file.')
    config, = (FOLDER / 'configs' / OWN_VIDEOS[case]).glob('*_custom*.py')
    shutil.copyfile(config, target)
    print(f'{target}: change what is between its lines')


def main() -> None:
    """Runs what the command line names."""
    name, *rest = sys.argv[1:] or ['--help']
    own = find_tools()
    stock = find_tools(Path(find_spec('mmaction').origin).parent)
    tools = {**stock, **own}
    if name in ('-h', '--help'):
        print(f'{COPY}\n'
              f'python -m mmaction_memvit TOOL ...: {" ".join(own)}\n'
              f'or one of MMAction2: {" ".join(sorted({*stock} - {*own}))}\n'
              f'All configs are in {FOLDER / "configs"}')
    elif name == 'copy':
        if len(rest) != 2:
            raise SystemExit(f'copy takes a case and a file. Remedy: {COPY}')
        copy_config(*rest)
    elif name in tools:
        # As if the script had been started: it finds those beside it.
        path = str(tools[name])
        sys.argv = [path, *rest]
        sys.path.insert(0, os.path.dirname(path))
        runpy.run_path(path, run_name='__main__')
    else:
        raise SystemExit(f'There is no tool {" ".join(sys.argv[1:])!r}. '
                         'Remedy: python -m mmaction_memvit names all.')


if __name__ == '__main__':
    main()
