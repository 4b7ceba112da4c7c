# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Builds MMAction2's own models and prints what they start from and compute.

As a script by MMAction2 alone, with what its import needs and no more:
MMAction2 1.2.0 lacks the folder ``drn`` (mmaction2#2714), and MMDetection asks
for the names in MMCV's extension.
"""
import copy
import hashlib
import json
import logging
import sys
import types
import warnings
from importlib.machinery import ModuleSpec

import torch

CLIP, FRAMES = (1, 1, 3, 8, 32, 32), (1, 8, 3, 32, 32)
R18 = dict(depth=18)
R50 = dict(depth=50, base_channels=8)
SLOWFAST = dict(slow_pathway=dict(base_channels=16),
                fast_pathway=dict(base_channels=2))
# These load weights whether there are any or not.
FRESH = dict(pretrained2d=False)

# One config of each kind: what shrinks its backbone, and an input; None where
# it takes no tensor, or compiled operators.
STOCK = [
    ('recognition/c2d/c2d_r50-in1k-pre_8xb32-8x8x1-100e_kinetics400-rgb',
     R18, CLIP),
    ('recognition/c3d/c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb',
     {}, (1, 1, 3, 16, 112, 112)),
    ('recognition/csn/ipcsn_r152_32x2x1-180e_kinetics400-rgb', R50, CLIP),
    ('recognition/i3d/i3d_imagenet-pretrained-r50_8xb8-32x2x1-100e_'
     'kinetics400-rgb', R50, CLIP),
    ('recognition/i3d/i3d_imagenet-pretrained-r50-nl-dot-product_'
     '8xb8-32x2x1-100e_kinetics400-rgb', R50, CLIP),
    ('recognition/mvit/mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb',
     dict(arch=dict(_delete_=True, embed_dims=16, num_layers=2, num_heads=1,
                    downscale_indices=[1]), spatial_size=32,
          temporal_size=8), CLIP),
    ('recognition/omnisource/slowonly_r50_8xb16-8x8x1-256e_imagenet-'
     'kinetics400-rgb', {}, None),
    ('recognition/r2plus1d/r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb',
     R50, CLIP),
    ('recognition/slowfast/slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb',
     SLOWFAST, (1, 1, 3, 32, 32, 32)),
    ('recognition/slowonly/slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb',
     R50, CLIP),
    ('recognition/swin/swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_'
     'kinetics400-rgb', FRESH, CLIP),
    ('recognition/tanet/tanet_imagenet-pretrained-r50_8xb8-1x1x8-50e_'
     'sthv1-rgb', {}, FRAMES),
    ('recognition/timesformer/timesformer_divST_8xb8-8x32x1-15e_'
     'kinetics400-rgb', dict(img_size=32, num_transformer_layers=2), CLIP),
    ('recognition/tin/tin_imagenet-pretrained-r50_8xb6-1x1x8-40e_sthv1-rgb',
     FRESH, None),
    ('recognition/tpn/tpn-slowonly_r50_8xb8-8x8x1-150e_kinetics400-rgb',
     R50, None),
    ('recognition/trn/trn_imagenet-pretrained-r50_8xb16-1x1x8-50e_sthv1-rgb',
     R18, FRAMES),
    ('recognition/tsm/tsm_imagenet-pretrained-mobilenetv2_8xb16-1x1x8-100e_'
     'kinetics400-rgb', FRESH, FRAMES),
    ('recognition/tsm/tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_sthv2-rgb',
     dict(FRESH, **R18), FRAMES),
    ('recognition/tsn/tsn_imagenet-pretrained-r50_8xb32-1x1x8-50e_sthv2-rgb',
     R18, FRAMES),
    ('recognition/uniformer/uniformer-small_imagenet1k-pre_16x4x1_'
     'kinetics400-rgb', dict(img_size=32), CLIP),
    ('recognition/uniformerv2/uniformerv2-base-p16-res224_clip_8xb32-u8_'
     'kinetics400-rgb', dict(clip_pretrained=False, layers=2, n_layers=1,
                             return_list=[1]), (1, 1, 3, 8, 224, 224)),
    ('recognition/videomae/vit-base-p16_videomae-k400-pre_16x4x1_kinetics-400',
     dict(img_size=32, depth=2, num_frames=8), CLIP),
    ('recognition/x3d/x3d_m_16x5x1_facebook-kinetics400-rgb', {},
     (1, 1, 3, 4, 64, 64)),
    ('recognition_audio/resnet/tsn_r18_8xb320-64x1x1-100e_kinetics400-'
     'audio-feature', {}, (1, 1, 1, 64, 80)),
    ('skeleton/2s-agcn/2s-agcn_8xb16-bone-u100-80e_ntu60-xsub-keypoint-2d',
     {}, (1, 1, 2, 10, 17, 3)),
    ('skeleton/stgcn/stgcn_8xb16-bone-u100-80e_ntu60-xsub-keypoint-2d',
     {}, (1, 1, 2, 10, 17, 3)),
    ('localization/bmn/bmn_2xb8-400x100-9e_activitynet-feature', {}, None),
    ('localization/bsn/bsn_tem_1xb16-400x100-20e_activitynet-feature', {},
     None),
    ('localization/tcanet/tcanet_2xb8-700x100-9e_hacs-feature', {}, None),
    ('detection/acrn/slowfast-acrn_kinetics400-pretrained-r50_8xb8-8x8x1-'
     'cosine-10e_ava21-rgb', SLOWFAST, (1, 1, 3, 32, 32, 32)),
    ('detection/slowonly/slowonly_k400-pre-r50_8xb8-8x8x1-10e_ava-kinetics-'
     'rgb', {}, CLIP),
]


def mend_imports() -> None:
    """What MMAction2's import needs, and nothing that models could feel."""

    class Extension(types.ModuleType):
        __spec__ = ModuleSpec('mmcv._ext', None)

        def __getattr__(self, name):
            if name.startswith('__'):
                raise AttributeError(name)

    name = 'mmaction.models.localizers.drn'
    sys.modules[name] = types.ModuleType(name)
    sys.modules[f'{name}.drn'] = types.ModuleType(f'{name}.drn')
    sys.modules[f'{name}.drn'].DRN = None
    # MMAction2 and MMDetection ask for less, while they are imported.
    import mmcv
    if tuple(map(int, mmcv.__version__.split('.')[:2])) >= (2, 2):
        mmcv.__version__ = '2.1.0'
    # With transformers 5 its models of video and text cannot be imported.
    from mmaction.utils import dependency
    dependency.WITH_MULTIMODAL = False
    try:
        import mmcv._ext  # noqa: F401
    except ImportError:
        sys.modules['mmcv._ext'] = Extension('mmcv._ext')


def without_weights(cfg):
    """A config that loads nothing from the net."""
    if isinstance(cfg, dict):
        return {
            key: None if key == 'pretrained' or
            (key == 'init_cfg' and isinstance(value, dict)
             and value.get('type') == 'Pretrained') else
            without_weights(value)
            for key, value in cfg.items()}
    if isinstance(cfg, (list, tuple)):
        return type(cfg)(without_weights(value) for value in cfg)
    return cfg


def digest(value) -> str:
    """Of all numbers in any nesting of tensors."""
    total = hashlib.blake2b(digest_size=16)

    def add(value) -> None:
        if isinstance(value, torch.Tensor):
            total.update(value.detach().contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            for key in sorted(value):
                total.update(key.encode())
                add(value[key])
        else:
            for item in value:
                add(item)

    add(value)
    return total.hexdigest()


def look_at(name: str, smaller: dict, shape) -> list:
    """Digests of what a model starts from, and of what it computes."""
    from mmaction.registry import MODELS
    from mmengine.config import ConfigDict
    from mmengine.hub import get_config
    cfg = get_config(f'mmaction::{name}.py')
    if smaller:
        # MMEngine takes `_delete_` out of what it is given.
        cfg.merge_from_dict(copy.deepcopy(dict(model=dict(backbone=smaller))))
    cfg = cfg.model
    if smaller is R18 and 'cls_head' in cfg:
        cfg.cls_head.in_channels = 512
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(without_weights(cfg.to_dict())))
    torch.manual_seed(0)
    model.init_weights()
    found = [digest(model.state_dict())]
    if shape:
        torch.manual_seed(0)
        x = torch.rand(shape)
        with torch.no_grad():
            model.eval()
            found.append(digest(model.backbone(x.flatten(0, 1))))
    return found


def look_at_all() -> dict:
    """Digests by the names of the configs."""
    from mmaction.utils import register_all_modules
    logging.disable(logging.WARNING)
    register_all_modules(init_default_scope=True)
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return {name: look_at(name, *rest) for name, *rest in STOCK}


if __name__ == '__main__':
    mend_imports()
    print('\n' + json.dumps(look_at_all()))
