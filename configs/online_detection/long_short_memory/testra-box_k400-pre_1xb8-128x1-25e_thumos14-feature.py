# TeSTra with the box kernel (published: 71.2 mAP).
_base_ = ['lstr_k400-pre_1xb8-128x1-25e_thumos14-feature.py']

model = dict(neck=dict(long='box'))
