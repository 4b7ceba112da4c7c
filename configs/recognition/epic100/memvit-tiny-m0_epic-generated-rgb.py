# The same model on the same data without memory: chance is what it can reach
# where a noun must be remembered.
_base_ = ['memvit-tiny-m8_epic-generated-rgb.py']

model = dict(backbone=dict(mem_len=0))
