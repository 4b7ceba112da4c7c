# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The complete configs start from what MMAction2 publishes."""
from pathlib import Path

import mmaction
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.fileio import load


def test_starts_from_weights_that_mmaction2_publishes(tmp_path):
    index = load(Path(mmaction.__file__).parent /
                 '.mim/configs/recognition/mvit/metafile.yml')
    urls = {x['Weights'] for x in index['Models'] if 'Weights' in x}
    folder = Path(__file__).resolve().parents[1] / 'configs'
    for case in ('recognition', 'detection', 'anticipation'):
        path, = folder.glob(f'{case}/memvit/*_custom*.py')
        config = Config.fromfile(str(path))
        weights = config.model.backbone.init_cfg
        assert weights.checkpoint in urls
        assert config.train_dataloader.dataset.index_file == (
            'data/custom/index.json')
    # As MMAction2 writes them.
    published = MODELS.build(dict(type='mmaction.MViT', arch='small'))
    state = {f'backbone.{k}': v for k, v in published.state_dict().items()}
    weights.checkpoint = str(tmp_path / 'mvit.pth')
    torch.save(dict(state_dict=state), weights.checkpoint)
    backbone = MODELS.build(
        dict(config.model.backbone, type='mmaction.MeMViT'))
    backbone.init_weights()
    own = backbone.state_dict()
    same = [k for k, v in own.items()
            if torch.equal(v, state.get(f'backbone.{k}', torch.empty(0)))]
    # Three in four: what pools and what remembers starts anew.
    assert len(same) > 150
