# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Backbones into which others put layers of their own, or around them."""
import copy

import pytest
import torch
from helpers.distributed import spawn_two
from helpers.models import MEMVIT
from mmengine.utils import digit_version
from torch import distributed as dist
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.fsdp.wrap import ModuleWrapPolicy

from mmaction_memvit.apis.processes import leave_processes
from mmaction_memvit.models import MeMViT, XViT
from mmaction_memvit.models.layers.mlp import MLP
from mmaction_memvit.models.layers.pooling_attention import PoolingAttention


class LoRA(nn.Module):
    """As MMPretrain's: it has no weight, the layer that it holds has."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.down = nn.Linear(layer.in_features, 2, bias=False)
        self.up = nn.Linear(2, layer.out_features, bias=False)

    def forward(self, x):
        return self.layer(x) + self.up(self.down(x))


def make(kind, **kwargs):
    torch.manual_seed(0)
    if kind == 'xvit':
        return XViT(dict(embed_dims=16, num_layers=2, num_heads=2), 16,
                    spatial_size=32, stream=True)
    model = MeMViT(**{k: v for k, v in MEMVIT.items() if k != 'type'},
                   **kwargs)
    model.init_weights()
    return model


def loss_of(model, mixed, like=None):
    memory = (like or model).init_memory(2)
    with torch.autocast('cpu', torch.bfloat16, enabled=mixed):
        for i in range(2):
            gen = torch.Generator().manual_seed(i)
            feats, memory = model(
                torch.randn(2, 3, 4, 32, 32, generator=gen), memory)
    return feats[-1][1].float().square().sum()


@pytest.mark.parametrize('mixed', [False, True])
@pytest.mark.parametrize('kind', ['memvit', 'xvit'])
def test_adapters_learn(kind, mixed):
    model = make(kind).requires_grad_(False)
    for block in model.blocks:
        for name in ('k', 'v', 'qkv', 'proj'):
            if hasattr(block.attn, name):
                setattr(block.attn, name, LoRA(getattr(block.attn, name)))
    loss_of(model, mixed).backward()
    grads = {k: x.grad for k, x in model.named_parameters()}
    assert all((x is not None) == ('down' in k or 'up' in k)
               for k, x in grads.items())


@pytest.mark.parametrize('kind', ['memvit', 'xvit'])
def test_norms_are_seen(kind):
    """As Grad-CAM looks at them."""
    model, seen = make(kind).eval(), {}
    loss = loss_of(model, True)
    norms = {k: x for k, x in model.named_modules()
             if isinstance(x, nn.LayerNorm) and 'pool' not in k
             and 'compress' not in k}
    for name, norm in norms.items():
        norm.register_forward_hook(
            lambda *args, name=name: seen.update({name: args[2]}))
    found = loss_of(model, True)
    assert seen.keys() == norms.keys()
    torch.testing.assert_close(found, loss, rtol=.02, atol=0.)
    assert all(x.abs().sum() > 0
               for x in torch.autograd.grad(found, [*seen.values()]))


@pytest.mark.parametrize('mixed', [False, True])
def test_norms_without_parameters(mixed):
    cfg = dict(type='LN', eps=1e-6)
    torch.testing.assert_close(
        *[loss_of(make('memvit', norm_cfg=dict(cfg, **own)).eval(), mixed)
          for own in ({}, {'elementwise_affine': False})],
        rtol=.02 if mixed else 1e-5, atol=0.)


def sharded(rank, url, results):
    dist.init_process_group('gloo', url, rank=rank, world_size=2)
    for orig in (False, True):
        model = make('memvit')
        whole = FullyShardedDataParallel(
            copy.deepcopy(model),
            auto_wrap_policy=ModuleWrapPolicy({MLP, PoolingAttention}),
            use_orig_params=orig, device_id=torch.device('cpu'))
        for mixed in (False, True):
            whole.zero_grad()
            loss_of(whole, mixed, model).backward()
            results[rank, orig, mixed] = whole.clip_grad_norm_(1.).item()
    leave_processes()


@pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.4'),
    reason='before, torch shards on a GPU only')
def test_sharded_by_fsdp(tmp_path):
    with torch.multiprocessing.Manager() as manager:
        results = manager.dict()
        spawn_two(sharded, f'file://{tmp_path}/store', results)
        results = dict(results)
    for mixed, precision in ((False, 1e-4), (True, .02)):
        model = make('memvit')
        loss_of(model, mixed).backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.).item()
        found = [x for key, x in results.items() if key[2] == mixed]
        assert found == pytest.approx([norm] * 4, rel=precision)
