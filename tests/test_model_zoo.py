# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The model zoo tells what the configs are; CI measures all of them."""
from pathlib import Path

import pytest
import torch
import yaml
from helpers.tools import load_tool
from mmaction.registry import MODELS
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.registry import init_default_scope

ROOT = Path(__file__).resolve().parents[1]
METAFILES = sorted(ROOT.glob('configs/*/*/metafile.yml'))


@pytest.fixture(scope='module')
def zoo():
    return load_tool('tools/dev/model_zoo.py')


def read(path):
    return yaml.safe_load(path.read_text())


def test_each_config_has_an_entry_and_each_entry_a_config(zoo):
    assert [x.parent for x in METAFILES] == zoo.folders()
    for path in METAFILES:
        names = [x['Config'] for x in read(path)['Models']]
        assert names == [p.relative_to(ROOT).as_posix()
                         for p in sorted(path.parent.glob('*.py'))]


def test_pages_and_index_tell_what_the_metafiles_tell(zoo):
    found = {path.parent.relative_to(ROOT).as_posix(): read(path)
             for path in METAFILES}
    for path, text in zoo.pages(found).items():
        assert path.read_text() == text, path


@pytest.mark.parametrize('name', [
    'recognition/memvit/memvit-tiny-m8_longcue-rgb',
    'recognition/collaborative/slowonly-tiny-memory_distant-pair-rgb',
    'detection/memvit/memvit-tiny-m6_longcue-boxes-rgb'])
def test_costs_are_those_of_get_flops(zoo, name):
    if 'detection' in name:
        pytest.importorskip('mmdet')
    cfg = Config.fromfile(str(ROOT / f'configs/{name}.py'))
    cost = zoo.cost_of(cfg, 32)
    init_default_scope('mmaction')
    model = MODELS.build(cfg.model).eval()
    # What the tool does for recognizers and detectors alike.
    if 'detection' in name:
        model.forward = model.extract_feat
    else:
        model.forward = lambda x: model.extract_feat(x, stage='head')
    counted = get_model_complexity_info(
        model, inputs=(torch.rand(1, 1, 3, cost.frames, cost.size,
                                  cost.size), ),
        show_table=False, show_arch=False)
    assert cost.params == sum(p.numel() for p in model.parameters())
    assert cost.macs == pytest.approx(counted['flops'], rel=1e-3)


def test_avt_is_as_large_as_published(zoo):
    path, = (ROOT / 'configs/anticipation/avt').glob('*_in21k-pre*-10x30x1*')
    cfg = Config.fromfile(str(path))
    cost = zoo.cost_of(cfg)
    assert f'{cost.params / 1e6:.1f}' == '396.1'
    assert cost.macs == pytest.approx(179e9, rel=0.01)
    with torch.device('meta'):
        head = MODELS.build(cfg.model.cls_head)
    num = sum(x.numel() for name, x in head.named_parameters()
              if not name.startswith('fc_cls'))
    assert f'{num / 1e6:.1f}' == '307.4'
