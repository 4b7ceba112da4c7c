# TeSTra with the Laplace kernel (published: 70.8 mAP): an endless past.
_base_ = ['lstr_k400-pre_1xb8-128x1-25e_thumos14-feature.py']

model = dict(neck=dict(long='laplace', decay=0.97))
