# Copyright (c) mmaction_memvit contributors. All rights reserved.
import math

import pytest
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS

# Classes 2 and 3 are rare.
COUNTS = [900, 97, 3, 0]
LOGITS = [[1., 0., -2., 0.3], [0.5, 2., 0., 1.]]


def build(**kwargs):
    return MODELS.build(dict(type='mmaction.EqualizationLoss',
                             class_counts=COUNTS, threshold=0.004, **kwargs))


def minus_log(row, k, among):
    return math.log(sum(math.exp(row[j]) for j in among)) - row[k]


def test_by_hand():
    loss = build(gamma=1., loss_weight=3.)
    # Rare classes are left out, except where they are the answer.
    expected = 3 * (minus_log(LOGITS[0], 0, (0, 1)) +
                    minus_log(LOGITS[1], 3, (0, 1, 3))) / 2
    found = loss(torch.tensor(LOGITS), torch.tensor([0, 3]))
    assert found.item() == pytest.approx(expected, rel=1e-5)
    # A target of 0.5 halves what is left out.
    row = LOGITS[0]
    total = math.log(
        math.exp(row[0]) + math.exp(row[1]) + 0.5 * math.exp(row[2]))
    expected = 3 * (total - 0.5 * row[0] - 0.5 * row[2])
    found = loss(torch.tensor([row]), torch.tensor([[.5, 0., .5, 0.]]))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_gamma_0_is_cross_entropy():
    logits, labels = torch.tensor(LOGITS), torch.tensor([0, 3])
    torch.testing.assert_close(
        build(gamma=0.)(logits, labels), F.cross_entropy(logits, labels))


def test_rare_classes_are_not_pushed_down():
    logits = torch.tensor(LOGITS, requires_grad=True)
    build(gamma=1.)(logits, torch.tensor([0, 1])).backward()
    assert (logits.grad[:, 2:] == 0).all()
    assert (logits.grad[:, :2] != 0).all()


def test_gamma_is_a_share():
    torch.manual_seed(0)
    logits = torch.tensor(LOGITS[:1]).repeat(4000, 1).requires_grad_()
    build(gamma=0.75)(logits, torch.zeros(4000).long()).backward()
    left_out = (logits.grad[:, 2:] == 0).float().mean(0)
    torch.testing.assert_close(
        left_out, torch.tensor([0.75, 0.75]), atol=0.03, rtol=0)
    # Drawn for each class apart.
    assert ((logits.grad[:, 2] == 0) != (logits.grad[:, 3] == 0)).any()
