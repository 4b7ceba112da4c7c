# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Configs of tiny backbones."""

# Puts out 32 channels.
SLOWONLY = dict(
    type='ResNet3dSlowOnly',
    depth=18,
    base_channels=4,
    pretrained=None,
    lateral=False,
    conv1_kernel=(1, 7, 7),
    inflate=(0, 0, 1, 1),
    norm_eval=False)
# Of clips (3, 4, 32, 32); puts out 32 channels.
MEMVIT = dict(
    type='MeMViT',
    arch=dict(
        embed_dims=16, num_layers=2, num_heads=1, downscale_indices=[1]),
    spatial_size=32,
    temporal_size=4,
    mem_compress=dict(kernel_size=(3, 3, 3), stride=(2, 2, 2)))
