# As many clips of each video without memory: chance is what it can reach.
_base_ = ['slowonly-tiny-memory_distant-pair-rgb.py']

model = dict(neck=None)
