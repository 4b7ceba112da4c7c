# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Nothing is found in configs that are right."""
import time
from pathlib import Path

import mmaction
import pytest
from helpers.preflight import ROOT, changed, findings
from mmaction.registry import DATA_SAMPLERS, METRICS, MODELS, TRANSFORMS
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from torch.utils.data import Sampler

from mmaction_memvit.evaluation.keyed import KeyedMetric
from mmaction_memvit.models import OnlineRecognizer3D

STOCK = Path(mmaction.__file__).parent / '.mim/configs'
OWN = sorted(x for x in (ROOT / 'configs').rglob('*.py')
             if '_base_' not in x.parts)


@pytest.mark.parametrize('path', OWN, ids=lambda x: x.stem)
def test_own_config(path):
    if 'detection' in path.parts:
        pytest.importorskip('mmdet')
    cfg = Config.fromfile(str(path))
    start = time.process_time()
    assert findings(cfg) == []
    assert time.process_time() - start < 5


@pytest.mark.parametrize('part', ['recognition', 'detection'])
def test_stock_configs(part):
    if part == 'detection':
        pytest.importorskip('mmdet')
    paths = sorted((STOCK / part).rglob('*.py'))
    assert len(paths) > 20
    for path in paths:
        cfg = Config.fromfile(str(path), import_custom_modules=False)
        assert findings(cfg) == [], path


def test_a_clip_with_one_score():
    path, = (ROOT / 'configs').rglob('avt-memvit-small*.py')
    cfg = changed(Config.fromfile(str(path)), **{
        'model.cls_head.per_frame': False,
        **{f'{x}_dataloader.dataset.num_tokens': 1
           for x in ('train', 'val', 'test')}})
    assert findings(cfg) == []


# What users write themselves is trusted.


@METRICS.register_module(force=True)
class OwnMetric(KeyedMetric):
    pass


@DATA_SAMPLERS.register_module(force=True)
class OwnBatches(Sampler):
    pass


@TRANSFORMS.register_module(force=True)
class OwnPacking(BaseTransform):
    pass


@MODELS.register_module(force=True)
class OwnModel(OnlineRecognizer3D):
    pass


@pytest.mark.parametrize('name', ['custom-ava-rgb', '10e_custom-rgb'])
@pytest.mark.parametrize('changes', [
    {'val_evaluator.type': 'OwnMetric'},
    {'train_dataloader.batch_sampler': dict(type='OwnBatches')},
    {'val_dataloader.dataset.pipeline': lambda x: [
        *x[:-1], dict(type='OwnPacking')]},
    {'model.type': lambda x: x.replace('OnlineRecognizer3D', 'OwnModel')},
])
def test_own_parts(name, changes):
    if 'ava' in name:
        pytest.importorskip('mmdet')
    path, = (ROOT / 'configs').rglob(f'memvit-small*{name}.py')
    assert findings(changed(Config.fromfile(str(path)), **changes)) == []
