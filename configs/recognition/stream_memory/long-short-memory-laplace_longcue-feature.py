# LongCue over the same features: all of the past as sums that fade, beside a
# work memory of 3 clips.
_base_ = ['stream-transformer-m8_longcue-feature.py']

model = dict(
    neck=dict(
        _delete_=True,
        type='LongShortMemory',
        in_channels=64,
        embed_dims=64,
        num_heads=4,
        dropout=0.1,
        work_len=3,
        long='laplace',
        decay=0.5,
        num_queries=(8, 8),
        num_stage2_layers=1,
        seconds=1.))
