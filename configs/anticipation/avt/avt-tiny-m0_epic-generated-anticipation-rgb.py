# The same model on the same data without history.
_base_ = ['avt-tiny-m8-u14_epic-generated-anticipation-rgb.py']

model = dict(cls_head=dict(mem_len=0))
