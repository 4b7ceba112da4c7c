# MeMViT-16 with a memory of the two last clips, over all clips of a video.
# A video of 10 s has 5 clips of 2.1 s, so two are remembered.
_base_ = [
    '../../_base_/models/memvit_small.py',
    '../../_base_/datasets/kinetics400_online.py',
    '../../_base_/schedule_memory_30e.py', '../../_base_/default_runtime.py'
]

# The single-clip model of the config named in the path, or released weights
# converted by tools/convert_memvit.py.
load_from = (
    'work_dirs/memvit-small-p244-m0_32xb16-16x4x1-200e_kinetics400-rgb/'
    'epoch_200.pth')
