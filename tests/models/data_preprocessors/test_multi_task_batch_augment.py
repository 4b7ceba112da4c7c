# Copyright (c) mmaction_memvit contributors. All rights reserved.
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample


def blend(type_, labels, **kwargs):
    torch.manual_seed(1)
    augment = MODELS.build(dict(
        type='mmaction.MultiTaskBatchAugment',
        num_classes=dict(verb=2, noun=3),
        augments=dict(type=type_, alpha=1., _scope_='mmaction'), **kwargs))
    imgs = torch.arange(len(labels)).float().view(-1, 1, 1, 1, 1, 1)
    imgs = imgs.expand(-1, 1, 3, 2, 8, 8).clone()
    samples = [ActionDataSample(gt_label=torch.tensor(x)) for x in labels]
    return augment(imgs, samples)


def test_labels_are_blended_as_the_clips_are():
    labels = [[0, 2, 7], [1, 0, 7], [-1, 1, -1]]
    shares = torch.tensor([[1, 0, 0, 0, 1], [0, 1, 1, 0, 0],
                           [0, 0, 0, 1, 0]]).float()
    for name in ('MixupBlending', 'CutmixBlending'):
        imgs, samples = blend(name, labels)
        found = torch.stack([x.gt_label for x in samples])
        # Clip i shows i everywhere, so the mean says how much is whose; and
        # that of three clips two are blended at most.
        mixed = imgs.mean((1, 2, 3, 4, 5))
        torch.testing.assert_close(
            found[:, 2:] @ torch.tensor([1., 2., 0.]), mixed)
        assert not torch.equal(found, shares)
        torch.testing.assert_close(found[:, 2:].sum(1), torch.ones(3))
        # What is unknown has no share.
        torch.testing.assert_close(found[:, 0], found[:, 4])
        torch.testing.assert_close(found[:, 1], found[:, 2])


def test_the_order_of_labels_can_be_told():
    _, samples = blend('MixupBlending', [[2, 1]], label_order=('noun', 'verb'))
    # In this order, too, as the head has them.
    assert samples[0].gt_label.tolist() == [0, 0, 1, 0, 1]
