# SlowFast-101 8x8 with a memory on each pathway and three non-local blocks in
# res4 of the Slow one. Their places are those of PySlowFast. They start as
# identities, and have no weights in checkpoints of SlowFast-101.
_base_ = ['collaborative_slowfast_r50_8x8.py']

model = dict(
    backbone=dict(
        type='NonLocalResNet3dSlowFast',
        slow_pathway=dict(
            depth=101,
            non_local=((0, 0, 0), (0, 0, 0, 0),
                       tuple(int(i in (6, 13, 20)) for i in range(23)),
                       (0, 0, 0)),
            non_local_cfg=dict(
                sub_sample=True,
                use_scale=False,
                norm_cfg=dict(type='BN3d', requires_grad=True),
                mode='dot_product')),
        fast_pathway=dict(depth=101)))
