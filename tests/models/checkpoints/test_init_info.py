# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
from helpers.logs import logged
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmaction_memvit.models import MeMViT


class Model(BaseModel):

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, inputs):
        return inputs


@pytest.mark.parametrize('ours', [True, False])
def test_options_of_an_optimizer(ours):
    model = Model(MeMViT('tiny', spatial_size=32) if ours else nn.Linear(3, 2))
    with logged() as messages:
        wrapper = build_optim_wrapper(
            model,
            dict(optimizer=dict(type='SGD', lr=0.5, weight_decay=0.25),
                 paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.)))
    # Stock models keep MMEngine's lines.
    told, = (x for x in messages if 'weight_decay' in x)
    assert told.startswith('paramwise_options') is not ours
    if ours:
        flat = sum(x['weight_decay'] == 0 for x in wrapper.param_groups)
        assert f'weight_decay=0.0 of {flat}' in told
