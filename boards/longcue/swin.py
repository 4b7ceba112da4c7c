_base_ = ['windows.py', 'mmaction::_base_/models/swin_tiny.py']

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,embed_dims=32, depths=[2, 2], num_heads=[2, 4]),
        out_indices=(1, ),
        patch_size=(1, 4, 4),
        window_size=(9, 4, 4),
        pretrained2d=False,
        drop_path_rate=0.),
    cls_head=dict(in_channels=64, **_base_.head))
