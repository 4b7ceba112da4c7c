# The same detector on the same data without memory, in the backbone and in
# the box block: chance is what it can reach.
_base_ = ['memvit-tiny-m6_longcue-boxes-rgb.py']

model = dict(backbone=dict(mem_len=0), roi_head=dict(mem_len=0))
