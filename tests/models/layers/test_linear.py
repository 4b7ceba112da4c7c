# Copyright (c) mmaction_memvit contributors. All rights reserved.
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

from mmaction_memvit.models.layers.linear import (
    Linear,
    cast_together,
    project,
)
from mmaction_memvit.models.layers.mlp import MLP
from mmaction_memvit.models.layers.stochastic_depth import stochastic_depth


def test_gradients_of_one_node_are_those_of_layers():
    x = [torch.randn(2, 5, 6, requires_grad=True) for _ in range(2)]
    layers = Linear(6, 8), Linear(6, 8, bias=False)
    layers[0].weight.requires_grad_(False)
    leaves = [*x, layers[0].bias, layers[1].weight]

    def grads(ys):
        return torch.autograd.grad(sum(y.sin().sum() for y in ys), leaves)

    for a, b in zip(grads(project(x, layers, 4)),
                    grads([layer(y) for y, layer in zip(x, layers)])):
        torch.testing.assert_close(a, b)


def test_hooks_and_adapters_of_layers_act_in_training():
    x, layer, mlp = torch.randn(2, 5, 6), Linear(6, 6), MLP(6, 12)
    plain = project([x], [layer], 3)[0], mlp(x)
    for module in (layer, mlp.fc1, mlp.fc2):
        module.register_forward_hook(lambda module, x, y: 2 * y)
    assert torch.equal(project([x], [layer], 3)[0], 2 * plain[0])
    assert not torch.allclose(mlp(x), plain[1])
    adapted = nn.Sequential(layer, nn.ReLU())
    assert (project([x], [adapted], 3)[0] >= 0).all()


def test_a_layer_with_a_forward_of_its_own_is_called():
    x, layer, mlp, seen = torch.randn(2, 5, 6), Linear(6, 6), MLP(6, 12), []
    for module in (layer, mlp.fc1):
        module.forward = lambda x, own=module.forward: seen.append(1) or own(x)
    project([x], [layer], 3)
    mlp(x)
    assert len(seen) == 2
    hook = nn.modules.module.register_module_forward_hook(
        lambda module, *_: seen.append(module))
    mlp(x)
    hook.remove()
    assert mlp.fc2 in seen


def test_threads_do_not_meet():
    """One without autocast while another is within a step with it."""
    x, layer = torch.randn(2, 4), Linear(4, 4)

    def meanwhile():
        with ThreadPoolExecutor() as pool:
            return pool.submit(layer, x).result()

    with torch.autocast('cpu', torch.bfloat16):
        out = cast_together([layer], meanwhile)
    assert out.dtype == torch.float32 and torch.equal(out, layer(x))


def test_second_derivatives_of_the_mlp():
    mlp = MLP(2, 3).double()
    x = torch.randn(4, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradgradcheck(
        lambda x, *_: mlp(x), (x, *mlp.parameters()))


def test_branches_are_left_out_by_their_own_rates():
    blocks = [nn.Identity() for _ in range(3)]
    for block, rate in zip(blocks, (0., .25, .5)):
        block.drop_path = rate
    first, _, *rest = stochastic_depth(blocks, torch.zeros(4000, 2))
    assert first is None
    for keep, rate in zip(rest, (.25, .25, .5, .5)):
        assert set(keep.tolist()) == {0., torch.tensor(1 / (1 - rate)).item()}
        assert abs(keep.mean() - 1) < .1
    assert not torch.equal(rest[0], rest[1])
    blocks[2].eval()
    assert stochastic_depth(blocks, torch.zeros(4, 2))[4:] == [None] * 2
