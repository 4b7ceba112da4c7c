# Copyright (c) mmaction_memvit contributors. All rights reserved.
import math

import pytest
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS

from mmaction_memvit.models import ClassBalancedLoss

LOGITS = [[1., 0., -2.], [0.5, 2., 0.]]


def log_prob(row, k):
    return row[k] - math.log(sum(math.exp(x) for x in row))


def test_by_hand():
    loss = MODELS.build(dict(type='mmaction.ClassBalancedLoss',
                             class_counts=[100, 10, 1], beta=0.9,
                             loss_weight=2.))
    weights = [0.1 / (1 - 0.9**n) for n in (100, 10, 1)]
    weights = [3 * w / sum(weights) for w in weights]
    expected = -2 * (weights[2] * log_prob(LOGITS[0], 2) +
                     weights[0] * log_prob(LOGITS[1], 0)) / 2
    found = loss(torch.tensor(LOGITS), torch.tensor([2, 0]))
    assert found.item() == pytest.approx(expected, rel=1e-5)
    # Shares of classes, as smoothed or blended labels are.
    shares = torch.tensor([[0., 0., 1.], [0.7, 0.3, 0.]])
    expected = -2 * (weights[2] * log_prob(LOGITS[0], 2) + 0.7 * weights[0] *
                     log_prob(LOGITS[1], 0) + 0.3 * weights[1] *
                     log_prob(LOGITS[1], 1)) / 2
    assert loss(torch.tensor(LOGITS), shares).item() == pytest.approx(
        expected, rel=1e-5)


def test_limits_of_beta():
    logits, labels = torch.tensor(LOGITS), torch.tensor([2, 0])
    plain = ClassBalancedLoss([5, 50, 500], beta=0.)
    torch.testing.assert_close(
        plain(logits, labels), F.cross_entropy(logits, labels))
    inverse = ClassBalancedLoss([5, 50, 500], beta=1 - 1e-9)
    torch.testing.assert_close(inverse.weights / inverse.weights[0],
                               torch.tensor([1., 0.1, 0.01]), rtol=1e-4,
                               atol=0)


def test_classes_that_do_not_occur_are_no_danger():
    weights = ClassBalancedLoss([10, 0, 1], beta=0.9).weights
    assert torch.isfinite(weights).all() and weights[1] == weights[2]
    assert (weights[0] + weights[2]).item() == pytest.approx(2)
