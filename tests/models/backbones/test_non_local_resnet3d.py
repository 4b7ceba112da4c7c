# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch
from mmaction.registry import MODELS

PLACES = (0, 0, (1, 0, 0, 0, 0, 0), 0)


def build(kind, **cfg):
    options = dict(non_local=PLACES, non_local_cfg=dict(
        mode='dot_product', **cfg))
    if kind.endswith('SlowFast'):
        path = dict(type='resnet3d', depth=50, pretrained=None)
        options = dict(pretrained=None,
                       slow_pathway=dict(path, base_channels=4, lateral=True,
                                         channel_ratio=1, **options),
                       fast_pathway=dict(path, base_channels=4, lateral=False))
    else:
        options.update(depth=50, base_channels=4, pretrained=None)
    backbone = MODELS.build(dict(type=kind, **options))
    backbone.init_weights()
    slow = getattr(backbone, 'slow_path', backbone)
    return backbone, slow.layer3[0].non_local_block


@pytest.mark.parametrize('kind', ['ResNet3d', 'ResNet3dSlowFast'])
@pytest.mark.parametrize('cfg', [
    {}, dict(norm_cfg=dict(type='BN3d')),
    dict(norm_cfg=dict(type='BN3d'), sub_sample=True)
])
def test_blocks_start_as_identities(kind, cfg):
    _, block = build(f'NonLocal{kind}', **cfg)
    x = torch.rand(2, 64, 2, 4, 4)
    assert torch.equal(block(x), x)
    # Those of MMAction2 do not.
    assert not torch.allclose(build(kind, **cfg)[1](x), x)


def test_pretrained_blocks_stay_as_they_are(tmp_path):
    backbone, block = build('NonLocalResNet3d')
    torch.nn.init.ones_(block.conv_out.conv.weight)
    torch.save(dict(state_dict=backbone.state_dict()), tmp_path / 'x.pth')
    backbone.pretrained2d = False
    backbone.init_weights(pretrained=str(tmp_path / 'x.pth'))
    assert (block.conv_out.conv.weight == 1).all()
