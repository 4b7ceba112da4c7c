# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Nothing is found in configs that are right."""
import time
from pathlib import Path

import mmaction
import pytest
from helpers.preflight import ROOT, findings
from mmengine.config import Config

STOCK = Path(mmaction.__file__).parent / '.mim/configs'
OWN = sorted(x for x in (ROOT / 'configs').rglob('*.py')
             if '_base_' not in x.parts)


@pytest.mark.parametrize('path', OWN, ids=lambda x: x.stem)
def test_own_config(path):
    cfg = Config.fromfile(str(path))
    start = time.process_time()
    assert findings(cfg) == []
    assert time.process_time() - start < 5


@pytest.mark.parametrize('part', ['recognition', 'detection'])
def test_stock_configs(part):
    paths = sorted((STOCK / part).rglob('*.py'))
    assert len(paths) > 20
    for path in paths:
        cfg = Config.fromfile(str(path), import_custom_modules=False)
        assert findings(cfg) == [], path
