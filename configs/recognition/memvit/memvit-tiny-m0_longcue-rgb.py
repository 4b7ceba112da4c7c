# The same model on the same data without memory: chance is what it can reach.
_base_ = ['memvit-tiny-m8_longcue-rgb.py']

model = dict(backbone=dict(mem_len=0))
