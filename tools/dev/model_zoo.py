#!/usr/bin/env python3
# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Writes the model zoo out of the configs.

    python tools/dev/model_zoo.py            # measures, and writes
    python tools/dev/model_zoo.py --check    # writes nothing; 1 if it would

Written are the metafile.yml of every folder of configs, the tables of its
README.md and of docs/model_zoo.md, and model-index.yml. What the configs do
not tell is kept as it stands in the metafiles: Collections, and of a model
Published, Results and Weights.
"""
import argparse
import re
import sys
from pathlib import Path
from typing import Dict, List

# First of all: it heals the host.
import mmaction_memvit  # noqa: F401  # isort: skip

import yaml
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tools/analysis_tools'))
from benchmarking import markdown  # noqa: E402
from benchmarking.costs import cost_of  # noqa: E402

PAGE = 'docs/model_zoo.md'
INDEX = 'model-index.yml'
HEAD = {
    'metafile.yml':
    '# What configs tell is written by tools/dev/model_zoo.py; by hand are\n'
    '# Collections, Published (numbers of papers), Results (ours), Weights.\n',
    INDEX:
    '# Read by mim and by MMEngine (`mmaction_memvit::...` in a config).\n'
    '# Written by tools/dev/model_zoo.py.\n',
}
#: Names of data sets in names of configs.
DATA = {
    'kinetics400': 'Kinetics-400',
    'kinetics600': 'Kinetics-600',
    'kinetics700': 'Kinetics-700',
    'sthv1': 'Something-Something V1',
    'sthv2': 'Something-Something V2',
    'charades': 'Charades',
    'ava21': 'AVA v2.1',
    'ava22': 'AVA v2.2',
    'epic100': 'EPIC-KITCHENS-100',
    'thumos14': 'THUMOS14',
    'tvseries': 'TVSeries',
    'epic-generated': 'generated kitchen',
    'longcue-boxes': 'LongCue boxes',
    'longcue': 'LongCue',
    'distant-pair-signs': 'distant pair, single signs',
    'distant-pair': 'distant pair',
    'jhmdb': 'JHMDB',
    'custom': 'your own',
}
TRAINED_ON = {'k400': 'Kinetics-400', 'k600': 'Kinetics-600',
              'k700': 'Kinetics-700', 'in21k': 'ImageNet-21k'}
#: Of videos that are shown as they are, which a config does not tell.
SIZES = {'distant-pair': 32, 'distant-pair-signs': 32}
NAME = re.compile(
    r'(?P<arch>.+?)(_(?P<pre>k\d00|in21k)-pre)?'
    r'(_(?P<gpus>\d+)xb\d+)?(-(?P<clip>\d+x\d+)x\d+|-u\d+)?'
    r'(-n(?P<clips>\d+))?(-\d+e)?_'
    f'(?P<data>{"|".join(DATA)})(-ava|-anticipation)?-(rgb|feature)')
HEADER = ('config', 'clip', 'starts from', 'parameters', 'GMACs a clip',
          'published', 'ours')


def folders() -> List[Path]:
    """Folders with whole configs."""
    return sorted({p.parent for p in (ROOT / 'configs').rglob('*.py')
                   if '_base_' not in p.parts})


def architecture(model: dict) -> List[str]:
    """What a model is made of, in words."""
    head = model.get('cls_head', {})
    if head.get('type') == 'AVTHead':
        steps = head.get('mem_len', 0)
        return [*_backbone(model), 'AVT',
                *[f'memory of {steps} steps'] * (steps > 0)]
    return _backbone(model)


def _backbone(model: dict) -> List[str]:
    backbone = model['backbone']
    kind = backbone['type'].split('.')[-1]
    if kind == 'MeMViT':
        arch = backbone['arch']
        name = f'{kind}-{arch if isinstance(arch, str) else "tiny"}'
        gap = backbone.get('mem_stride', 1)
        memory = backbone.get('mem_len', 2)
        apart = f', {gap} apart' if gap > 1 else ''
        return [name, *[f'memory of {memory} clips{apart}'] * (memory > 0)]
    if kind == 'XViT':
        kind = kind if backbone.get('window', 1) else 'ViT'
        arch = backbone['arch']
        return [f'{kind}-{arch if isinstance(arch, str) else "tiny"}']
    if kind == 'FeatureBackbone':
        kind = 'features'
    depth = backbone.get('slow_pathway', backbone).get('depth')
    found = [kind + (f'-{depth}' if depth else '')]
    if model.get('neck'):
        found.append(model['neck']['type'])
    boxes = model.get('roi_head', {}).get('transformer', {}).get('mem_len')
    return found + [f'memory of the boxes of {boxes} clips'] * bool(boxes)


def metadata(path: Path, cfg: Config, published: str) -> dict:
    """What is told of a config's model and training."""
    found = NAME.fullmatch(path.stem)
    if found is None:
        raise SystemExit(f'{path.name} is not named as configs are here '
                         f'({NAME.pattern}). Remedy: rename it, or name its '
                         'data in DATA')
    cost = cost_of(cfg, SIZES.get(found['data']))
    data = {
        'Architecture': architecture(cfg.model),
        'Batch Size': cfg.train_dataloader.batch_size,
        'Epochs': cfg.train_cfg.max_epochs,
        'FLOPs': f'{cost.macs / 1e9:.3g}G',
        'Parameters': f'{cost.params / 1e6:.2f}M',
        'Pretrained': TRAINED_ON.get(found['pre'] or (
            # What MMAction2 has of MViT.
            'kinetics400' in str(cfg.model.backbone.get('init_cfg'))
            and 'k400')),
        'Resolution': f'{cost.size}x{cost.size}',
        'Frames': found['clip'] or f'{cost.frames}x1',
        'Training Data': DATA[found['data']],
        'Training Resources': f'{found["gpus"] or 1} GPUs'}
    if found['clips']:
        data['Clips'] = int(found['clips'])
    if published:
        data['Published'] = published
    return data


def entry(path: Path, old: dict, collection: str) -> dict:
    """A model of a metafile."""
    cfg = Config.fromfile(str(path))
    new = {
        'Name': path.stem,
        'Config': path.relative_to(ROOT).as_posix(),
        'In Collection': old.get('In Collection', collection),
        'Metadata': metadata(path, cfg,
                             old.get('Metadata', {}).get('Published')),
        'Modality': 'feature' if path.stem.endswith('feature') else 'RGB'}
    if 'Results' in old:
        new['Results'] = old['Results']
    # MMEngine's inferencers ask for it.
    new['Weights'] = old.get('Weights')
    return new


def metafile(folder: Path) -> dict:
    """The metafile of a folder, up to date."""
    old = yaml.safe_load((folder / 'metafile.yml').read_text())
    known = {x['Name']: x for x in old.get('Models') or ()}
    first = old['Collections'][0]['Name']
    return dict(
        Collections=old['Collections'],
        Models=[entry(path, known.get(path.stem, {}), first)
                for path in sorted(folder.glob('*.py'))])


def row(model: dict, folder: str) -> List[str]:
    """A model's row of a table, with links from a page."""
    data = model['Metadata']
    ours = ', '.join(f'{value} {name}' for result in model.get('Results', ())
                     for name, value in result['Metrics'].items())
    clip = data['Frames'] + (
        f', N = {data["Clips"]}' if 'Clips' in data else '')
    return [f'[{model["Name"]}]({folder}{model["Name"]}.py)', clip,
            data['Pretrained'] or '', data['Parameters'], data['FLOPs'][:-1],
            data.get('Published', ''), ours]


def table(models: List[dict], folder: str = '') -> str:
    """Models as a table of Markdown."""
    return markdown(HEADER, *(row(x, folder) for x in models))


def insert(text: str, tables: Dict[str, str]) -> str:
    """A page with its tables between their marks."""
    for name, new in tables.items():
        mark = f'<!-- models: {name} -->'
        end = '<!-- /models -->'
        if text.count(mark) != 1:
            raise SystemExit(f'a page lacks its line {mark}. Remedy: add it, '
                             f'and {end} after it, where the table belongs')
        head, _, rest = text.partition(mark)
        text = f'{head}{mark}\n{new}\n{end}{rest.partition(end)[2]}'
    return text


def dump(name: str, content: dict) -> str:
    """A YAML file, with what it says of itself."""
    return HEAD[name] + yaml.safe_dump(
        content, sort_keys=False, width=79, allow_unicode=True)


def pages(metafiles: Dict[str, dict]) -> Dict[Path, str]:
    """All that follows from metafiles, by the path of each file."""
    files = {}
    for folder, content in metafiles.items():
        files[ROOT / folder / 'metafile.yml'] = dump('metafile.yml', content)
        readme = ROOT / folder / 'README.md'
        files[readme] = insert(
            readme.read_text(), {folder: table(content['Models'])})
    files[ROOT / PAGE] = insert((ROOT / PAGE).read_text(), {
        folder: table(content['Models'], f'../{folder}/')
        for folder, content in metafiles.items()})
    files[ROOT / INDEX] = dump(INDEX, dict(
        Import=[f'{folder}/metafile.yml' for folder in metafiles]))
    return files


def main() -> None:
    """Write what changed, or say it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true',
                        help='write nothing; fail if anything would change')
    args = parser.parse_args()
    files = pages({folder.relative_to(ROOT).as_posix(): metafile(folder)
                   for folder in folders()})
    old = [path for path, text in files.items()
           if not path.exists() or path.read_text() != text]
    for path in old:
        print(path.relative_to(ROOT))
        if not args.check:
            path.write_text(files[path])
    if old and args.check:
        sys.exit('not up to date. Remedy: python tools/dev/model_zoo.py')
    print(f'{len(files)} files are up to date')


if __name__ == '__main__':
    main()
