# The same model on the same data without memory.
_base_ = ['memvit-tiny-causal-m8_epic-generated-anticipation-rgb.py']

model = dict(backbone=dict(mem_len=0))
load_from = 'work_dirs/memvit-tiny-m0_epic-generated-rgb/epoch_4.pth'
