# Copyright (c) mmaction_memvit contributors. All rights reserved.
import os.path as osp

import pytest
from demos import collaborative, detection, longcue, unrolled
from demos.running import ROOT, schedule
from mmengine.config import Config


@pytest.mark.parametrize('epochs', [1, 9])
@pytest.mark.parametrize('demo', [collaborative, detection, longcue, unrolled])
def test_the_rate_decays_until_the_last_epoch(demo, epochs):
    for name in demo.MODELS.values():
        path = osp.join(ROOT, 'configs', f'{name}.py')
        config = Config.fromfile(path)
        config.merge_from_dict(
            {key: int(value)
             for key, value in (x.split('=') for x in schedule(path, epochs))})
        assert config.train_cfg.max_epochs == epochs
        for rate in config.param_scheduler:
            assert rate.get('T_max', epochs) == epochs
            if rate.get('by_epoch', True):
                assert rate.get('end', epochs) == epochs
