# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The memory protocol carries a backbone that is nothing like MeMViT."""
import re
import sys
from pathlib import Path

import pytest
import torch
from helpers.runs import config, made_up_loader, make_runner
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

DOC = Path(__file__).resolve().parents[1] / 'docs' / \
    'add_a_backbone_that_remembers.md'


@pytest.fixture
def documented(tmp_path, monkeypatch):
    """The module and the config of the documentation."""
    module, cfg = re.findall(r'```python\n(.*?)```', DOC.read_text(), re.S)
    assert len(module.splitlines()) + len(cfg.splitlines()) <= 80
    (tmp_path / 'recurrent_resnet3d.py').write_text(module)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Config.fromstring(cfg, '.py')
    sys.modules.pop('recurrent_resnet3d', None)
    MODELS.module_dict.pop('RecurrentResNet3d', None)


def test_the_documented_backbone(tmp_path, documented):
    cfg = config(tmp_path / 'run', made_up_loader([3, 2, 3], train=True),
                 made_up_loader([3, 2, 3], train=False))
    cfg.merge_from_dict(documented.to_dict())
    cfg.model = documented.model
    # No need to be slow.
    cfg.model.backbone.update(channels=64, base_channels=8)
    cfg.model.cls_head.in_channels = 64
    runner = make_runner(cfg)
    runner.train()
    assert len(runner.recorder.scores) == 8

    init_default_scope('mmaction')
    model = runner.model.eval()
    clips = torch.randn(4, 2, 3, 4, 32, 32)

    def watch(lanes, elapsed=None):
        memory, outs = model.init_memory(len(lanes)), []
        with torch.no_grad():
            for clip in clips[:, lanes]:
                out, memory = model.step(clip, memory, elapsed)
                outs.append(out)
        return outs

    for lane in range(2):
        alone, both = watch([lane]), watch([0, 1])
        torch.testing.assert_close(alone[3][0], both[3][lane])
        first = model.backbone(clips[3, lane][None])
        assert (first - alone[3]).abs().max() > 1e-4
        # Time passes for this one.
        later = watch([lane], torch.tensor([60.]))
        assert (later[3] - alone[3]).abs().max() > 1e-5
