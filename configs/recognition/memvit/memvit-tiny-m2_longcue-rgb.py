# Attends to 2 clips where delays are up to 8, with the gradient stopped at
# memory: nothing teaches its layers to pass on what older clips showed.
_base_ = ['memvit-tiny-m8_longcue-rgb.py']

model = dict(backbone=dict(mem_len=2))
