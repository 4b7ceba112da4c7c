_base_ = ['windows.py', 'mmaction::_base_/models/mvit_small.py']

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=32, num_layers=4, num_heads=1, downscale_indices=[1]),
        spatial_size=32,
        temporal_size=9,
        drop_path_rate=0.,
        patch_cfg=dict(
            kernel_size=(1, 7, 7), stride=(1, 4, 4), padding=(0, 3, 3))),
    cls_head=dict(in_channels=64, label_smooth_eps=0., **_base_.head))
