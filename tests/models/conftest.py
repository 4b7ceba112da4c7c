# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch
from mmengine.registry import init_default_scope

from mmaction_memvit.memory import state
from mmaction_memvit.models.recognizers.cuda_graph import CUDAGraphStep


@pytest.fixture(autouse=True, scope='module')
def scope():
    """As MMEngine's runner builds models, in one thread."""
    init_default_scope('mmaction')
    torch.set_num_threads(1)


@pytest.fixture
def plain_capture(monkeypatch):
    """Buffers and keys as with CUDA; a replay runs the step again."""
    captured = []

    def capture(run, warm_up=None, pool=None):
        if warm_up is not None:
            warm_up()
        out = run()
        captured.append(out)

        def replay():
            with torch.set_grad_enabled(grad):
                new = run()
            with torch.no_grad():
                for own, x in zip(state.tensors(out), state.tensors(new)):
                    own.copy_(x)

        grad = torch.is_grad_enabled()
        return out, replay

    monkeypatch.setattr(CUDAGraphStep, 'capture', staticmethod(capture))
    monkeypatch.setattr(CUDAGraphStep, 'can_capture', lambda *_: True)
    return captured
