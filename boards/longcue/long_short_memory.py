# The same with a long-short memory: queries look through the 8 clips before a
# work memory of 2.
_base_ = 'stream_transformer.py'

model = dict(
    neck=dict(
        _delete_=True,
        type='LongShortMemory',
        in_channels=64,
        embed_dims=64,
        num_heads=4,
        dropout=0.1,
        work_len=2,
        long='window',
        long_len=8,
        num_queries=(8, 8),
        num_stage2_layers=1,
        per_frame=False,
        seconds=1.))
