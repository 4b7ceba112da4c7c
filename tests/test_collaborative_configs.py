# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Configs of collaborative memories say what the paper says."""
import copy
from pathlib import Path

import mmaction
import pytest
import torch
from helpers.tools import load_tool
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'configs/recognition/collaborative'
STOCK = Path(mmaction.__file__).parent / '.mim/configs/recognition'
CONFIGS = {
    p.stem: Config.fromfile(str(p))
    for p in (*FOLDER.glob('*.py'), *FOLDER.parent.glob('charades/*.py'),
              *ROOT.glob('configs/detection/collaborative/*.py'))
    if 'distant-pair' not in p.stem
}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmaction')
    torch.set_num_threads(1)


def build(model, device='meta'):
    model = copy.deepcopy(model)
    with torch.device(device):
        return MODELS.build(model)


def test_inference_samples_clips_as_testing_does():
    """MMAction2's inference reads test_pipeline, not the data loader."""
    found = [x for x in CONFIGS.values() if 'roi_head' not in x.model]
    found += map(Config.fromfile, FOLDER.glob('*distant-pair*.py'))
    assert len(found) > 25
    for cfg in found:
        assert cfg.test_pipeline == cfg.test_dataloader.dataset.pipeline


def weights_of(cfg):
    """Where the weights that a config starts from are."""
    return cfg.load_from or cfg.model.get('init_cfg', {}).get('checkpoint')


WEIGHTS = sorted(x for x, cfg in CONFIGS.items() if weights_of(cfg))


@pytest.mark.parametrize('name', WEIGHTS)
def test_published_weights_fit(name):
    cfg = CONFIGS[name]
    if 'roi_head' in cfg.model:
        pytest.importorskip('mmdet')
    *_, family, stock, file = weights_of(cfg).split('/')
    assert weights_of(cfg) in (STOCK / family / 'metafile.yml').read_text()
    stock = get_config(f'mmaction::recognition/{family}/{stock}.py').model
    stock.backbone.pretrained = None
    weights = build(stock).state_dict()
    other = cfg.model.get('cls_head', {}).get('num_classes') != 400
    if other:
        weights = {k: v for k, v in weights.items() if 'cls_head' not in k}
    # A tensor of another shape is an error.
    result = build(cfg.model).load_state_dict(weights, strict=False)
    assert not result.unexpected_keys
    new = ['neck.']
    if '-nl' in name:
        new.append('.non_local_block.')
    if other:
        new.append('roi_head.' if 'roi_head' in cfg.model else 'cls_head.')
    for part in new:
        found = [k for k in result.missing_keys if part in k]
        assert found or (part == 'neck.' and cfg.model.neck is None)
        result.missing_keys[:] = set(result.missing_keys) - set(found)
    assert not result.missing_keys


def test_lists_of_a_table_keep_groups_together(tmp_path):
    rows = [f'{c}/{g}_{i}.mp4,{c},name{c},{g}' for c in range(2)
            for g in 'abcd' for i in range(3)]
    (tmp_path / 'labels.csv').write_text(
        '\n'.join(['path,label,class,source_group', *rows]))
    load_tool('tools/data/make_video_list.py').main(
        [str(tmp_path / 'labels.csv'), '--out', str(tmp_path)])
    groups = [{line[2] for line in (tmp_path / f'{x}.txt').read_text().split(
        '\n') if line} for x in ('train', 'val')]
    assert groups[0] and groups[1] and not groups[0] & groups[1]
    assert (tmp_path / 'classes.txt').read_text() == 'name0\nname1\n'
