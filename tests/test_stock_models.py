# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Importing the plugin mends what raises, and changes no model."""
import json
from pathlib import Path

import torch
from helpers.interpreter import run_python
from helpers.stock_models import STOCK, look_at_all
from mmaction.models.backbones.resnet3d import ResNet3dLayer

SCRIPT = Path(__file__).parent / 'helpers' / 'stock_models.py'


def test_stock_models_start_and_compute_as_without_the_plugin(tmp_path):
    output = run_python(
        """
        import runpy, sys
        runpy.run_path(sys.argv[1], run_name='__main__')
        """, tmp_path, str(SCRIPT))
    without = json.loads(output.splitlines()[-1])
    assert list(without) == [name for name, *_ in STOCK]
    for name, digests in look_at_all().items():
        assert without[name] == digests, name


def test_resnet3d_layer_initialises():
    layer = ResNet3dLayer(18, None, base_channels=8)
    layer.init_weights()
    assert all(torch.isfinite(p).all() for p in layer.parameters())
