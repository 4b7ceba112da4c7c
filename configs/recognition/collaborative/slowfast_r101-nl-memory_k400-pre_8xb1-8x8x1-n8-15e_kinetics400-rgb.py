# SlowFast-101 8x8 with non-local blocks and collaborative memory: 81.4 in the
# paper, which trains the blocks in stage 1.
_base_ = [
    '../../_base_/models/collaborative_slowfast_r101_nl_8x8.py',
    '../../_base_/datasets/kinetics400_clips.py',
    '../../_base_/schedule_collaborative_15e.py',
    '../../_base_/default_runtime.py'
]

# MMAction2 has weights of SlowFast-101 without non-local blocks, so that a
# part of the model is loaded only, which load_from takes for a mistake. The
# blocks start as identities.
model = dict(
    init_cfg=dict(
        type='Pretrained',
        checkpoint=(
            'https://download.openmmlab.com/mmaction/v1.0/recognition/'
            'slowfast/slowfast_r101_8xb8-8x8x1-256e_kinetics400-rgb/'
            'slowfast_r101_8xb8-8x8x1-256e_kinetics400-rgb_20220901-9c0e09bd'
            '.pth')))
