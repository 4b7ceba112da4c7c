# One kind of memory alone: two layers that attend to 32 s each.
_base_ = ['lstr_k400-pre_1xb8-128x1-25e_thumos14-feature.py']

model = dict(
    neck=dict(
        _delete_=True,
        type='StreamTransformer',
        in_channels=3072,
        embed_dims=1024,
        num_heads=16,
        mlp_ratio=1.,
        dropout=0.2,
        mem_len=128,
        per_frame=True,
        seconds=0.25))
