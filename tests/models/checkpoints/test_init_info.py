# Copyright (c) mmaction_memvit contributors. All rights reserved.
import logging

import pytest
from mmengine.logging import MMLogger
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


@pytest.fixture()
def messages():
    found = []

    class Handler(logging.Handler):

        def emit(self, record):
            found.append(record.getMessage())

    handler = Handler()
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


@pytest.mark.parametrize('ours', [True, False])
def test_options_of_an_optimizer(messages, ours):
    model = Model(
        MeMViT('tiny', spatial_size=32) if ours else nn.Linear(3, 2))
    wrapper = build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='SGD', lr=0.5, weight_decay=0.25),
            paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.)))
    told = [x for x in messages if 'weight_decay' in x]
    # Stock models keep MMEngine's lines.
    assert len(told) == 1
    assert told[0].startswith('paramwise_options') is not ours
    if ours:
        flat = sum(x['weight_decay'] == 0 for x in wrapper.param_groups)
        assert f'weight_decay=0.0 of {flat}' in told[0]
