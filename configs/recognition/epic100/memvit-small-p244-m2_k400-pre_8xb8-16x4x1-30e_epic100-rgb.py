# MeMViT-16 16x4 on EPIC-KITCHENS-100, recognition (published, from K400: 70.6
# verb, 58.5 noun, 46.2 action top-1). The recipe is unpublished. Known:
# untrimmed clips, verbs and nouns of every frame, averaged within segments.
# Guesses: M=2, consecutive clips, optimizer and schedule (those of
# schedule_memory_30e.py), dropout, augmentation, clips left out (max_idle),
# the label of a token (see OnlineEpicDataset).
_base_ = [
    '../../_base_/models/memvit_small_epic100.py',
    '../../_base_/datasets/epic100_online.py',
    '../../_base_/schedule_memory_30e.py', '../../_base_/default_runtime.py'
]

default_hooks = dict(
    checkpoint=dict(save_best='epic/action_top1', rule='greater'))

# Released K400 weights, converted by tools/convert_memvit.py (the head
# differs, and is left out); or a run of configs/recognition/memvit.
load_from = 'checkpoints/memvit_small_k400.pth'
