# TVSeries, in the form of THUMOS14's features, in data/TVSeries/. The measure
# is calibrated mAP.
_base_ = ['thumos14_features.py']

data_root = 'data/TVSeries/'
benchmark = 'tvseries'

dataset = dict(benchmark=benchmark, data_root=data_root)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
val_evaluator = dict(benchmark=benchmark)
test_evaluator = val_evaluator
