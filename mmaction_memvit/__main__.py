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
from pathlib import Path

FOLDER = Path(__file__).parent / '.mim'
#: Where the complete configs for own videos are.
OWN_VIDEOS = {
    'recognition': 'recognition/memvit',
    'detection': 'detection/memvit',
    'anticipation': 'anticipation/memvit',
    'collaborative': 'recognition/collaborative',
}


def find_tool(name: str) -> Path:
    """The script of a name, with or without folder and suffix."""
    tools = FOLDER / 'tools'
    found = [p for p in tools.rglob('*.py')
             if name in (p.stem, str(p.relative_to(tools).with_suffix('')))]
    if len(found) != 1:
        raise SystemExit(f'There is no tool {name}. Remedy: python -m '
                         'mmaction_memvit names all tools.')
    return found[0]


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
    if len(sys.argv) < 2 or sys.argv[1] in ('-h', '--help'):
        print(__doc__.partition('::')[0])
        print(f'Configs: {FOLDER / "configs"}')
        print('Tools:', *sorted(
            p.stem for p in FOLDER.glob('tools/**/*.py')
            if p.read_text(encoding='utf-8').count('__main__')))
    elif sys.argv[1] == 'copy' and len(sys.argv) == 4:
        copy_config(*sys.argv[2:])
    else:
        tool = find_tool(sys.argv[1])
        # As if the script had been started: it finds those beside it.
        sys.argv[:2] = [str(tool)]
        sys.path.insert(0, str(tool.parent))
        runpy.run_path(str(tool), run_name='__main__')


if __name__ == '__main__':
    main()
