# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The structure of the code in numbers, read from its syntax trees.

    python tools/dev/structure.py

Prints Markdown tables: lines by folder; the files a clip passes on its way
from the list to the loss, by task (what the registered classes of the way
import, directly or not); files above 400 lines; function bodies above 60
lines without their docstrings; circles of folders.
"""
import argparse
import ast
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

import networkx as nx  # which torch brings

PACKAGE = 'mmaction_memvit'
MAX_FILE, MAX_BODY = 400, 60
#: What the configs of a task name, from the data set to the loss.
WAYS = {
    'recognition': ('OnlineVideoDataset', 'StreamBatchSampler',
                    'LoadVideoClip', 'OnlineRecognizer3D'),
    'detection': ('OnlineAVADataset', 'StreamBatchSampler', 'LoadVideoClip',
                  'OnlineFastRCNN', 'MeMViTRoIHead', 'MeMViTBBoxHead'),
    'epic': ('OnlineEpicDataset', 'StreamBatchSampler', 'LoadVideoClip',
             'OnlineRecognizer3D', 'MultiTaskHead'),
    'collaborative': ('VideoClipsDataset', 'DistinctVideoBatchSampler',
                      'SampleVideoClips', 'CollaborativeRecognizer3D',
                      'CollaborativeMemory'),
}
#: Not counted on a way: the network's layers, operators and the decoder.
NOT_ON_THE_WAY = ('models/layers/', 'models/backbones/', 'ops/',
                  'video/decode')


class Code:
    """The modules of a package and what they import of it.

    Args:
        root (Path): The folder of the checkout.
    """

    def __init__(self, root: Path) -> None:
        self.files = {self.name_of(path.relative_to(root)): path
                      for path in sorted((root / PACKAGE).rglob('*.py'))
                      if '.mim' not in path.parts}
        self.trees = {name: ast.parse(path.read_text(encoding='utf-8'))
                      for name, path in self.files.items()}
        self.defined = {
            name: {node.name for node in tree.body
                   if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
            for name, tree in self.trees.items()}
        self.imports = {name: set(self._imports(name)) for name in self.files}

    @staticmethod
    def name_of(path: Path) -> str:
        """Dotted name of a module, from its path in the checkout."""
        parts = list(path.with_suffix('').parts)
        return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)

    def is_init(self, name: str) -> bool:
        """Whether a module is the ``__init__`` of a folder."""
        return self.files[name].name == '__init__.py'

    def _from(self, name: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ''
        base = name.split('.')
        base = base[:len(base) - node.level + self.is_init(name)]
        return '.'.join([*base, *([node.module] if node.module else [])])

    def _home(self, module: str, attribute: str, depth: int = 0) -> str:
        """The module that defines a name which folders hand on."""
        if f'{module}.{attribute}' in self.files:
            return f'{module}.{attribute}'
        if not self.is_init(module) or depth > 5:
            return module
        for node in ast.walk(self.trees[module]):
            if not isinstance(node, ast.ImportFrom):
                continue
            source = self._from(module, node)
            if source not in self.files:
                continue
            if any(a.name in (attribute, '*') for a in node.names):
                home = self._home(source, attribute, depth + 1)
                if attribute in self.defined.get(home, ()):
                    return home
        return module

    def _imports(self, name: str) -> Iterator[str]:
        for node in ast.walk(self.trees[name]):
            if isinstance(node, ast.Import):
                yield from (a.name for a in node.names if a.name in self.files)
            elif isinstance(node, ast.ImportFrom):
                source = self._from(name, node)
                if source in self.files:
                    for alias in node.names:
                        yield self._home(source, alias.name)

    def reach(self, classes: Tuple[str, ...]) -> Set[str]:
        """Modules that define some classes, and all that these import."""
        arrows = nx.DiGraph(
            (a, b) for a, targets in self.imports.items() for b in targets
            if not self.is_init(a) and not self.is_init(b))
        starts = [name for name, defined in self.defined.items()
                  if defined & set(classes) and not self.is_init(name)]
        arrows.add_nodes_from(starts)
        return set(starts).union(*(nx.descendants(arrows, x) for x in starts))

    def folder(self, name: str) -> str:
        """The folder of a module, from the package on; '' for the top."""
        folder = self.files[name].parent.relative_to(
            self.files[PACKAGE].parent).as_posix()
        return '' if folder == '.' else folder

    def circles(self) -> List[str]:
        """Pairs of folders that import each other, directly or not."""
        arrows = nx.DiGraph(
            (self.folder(a), self.folder(b))
            for a, targets in self.imports.items() for b in targets
            if self.folder(a) and self.folder(b))
        return sorted(f'{a} <-> {b}'
                      for rooms in nx.strongly_connected_components(arrows)
                      for a, b in combinations(sorted(rooms), 2))


def num_lines(path: Path) -> int:
    """Lines of a file."""
    return len(path.read_text(encoding='utf-8').splitlines())


def long_bodies(path: Path) -> Iterator[Tuple[str, int]]:
    """Functions whose bodies, without docstrings, are above the limit."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body
            if ast.get_docstring(node) is not None:
                body = body[1:]
            if body:
                length = body[-1].end_lineno - body[0].lineno + 1
                if length > MAX_BODY:
                    yield node.name, length


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--root', type=Path,
        default=Path(__file__).resolve().parents[2],
        help='folder of the checkout')
    root = parser.parse_args().root
    code = Code(root)

    lines: Dict[str, int] = defaultdict(int)
    for name, path in code.files.items():
        room = code.folder(name).partition('/')[0]
        lines[f'{PACKAGE}/{room}'] += num_lines(path)
    print('| folder | lines |\n|---|---|')
    for folder, count in sorted(lines.items()):
        print(f'| {folder} | {count:,} |')
    print(f'| **{PACKAGE}** | {sum(lines.values()):,} |')
    others = {}
    for folder in ('examples', 'tools', 'tests', 'configs'):
        others[folder] = sorted((root / folder).rglob('*.py'))
        print(f'| **{folder}** | {sum(map(num_lines, others[folder])):,} |')
    print('\n| way of a clip | files | lines |\n|---|---|---|')
    for way, classes in WAYS.items():
        files = [
            code.files[name] for name in code.reach(classes)
            if not any(part in code.files[name].as_posix()
                       for part in NOT_ON_THE_WAY)]
        print(f'| {way} | {len(files)} | {sum(map(num_lines, files)):,} |')

    written = [*code.files.values(), *others['examples'], *others['tools']]
    print(f'\nFiles above {MAX_FILE} lines:')
    for path in written:
        if num_lines(path) > MAX_FILE:
            print(f'- {path.relative_to(root)}: {num_lines(path)}')
    print(f'\nFunction bodies above {MAX_BODY} lines:')
    for path in written:
        for name, length in long_bodies(path):
            print(f'- {path.relative_to(root)}: {name}, {length}')
    print('\nCircles of folders:')
    print('\n'.join(f'- {x}' for x in code.circles()) or '- none')


if __name__ == '__main__':
    main()
