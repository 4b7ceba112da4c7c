# EPIC-KITCHENS-100 as TeSTra publishes its features (RULSTM's, 4 a second), in
#   data/EK100/{rgb_kinetics_bninception,flow_kinetics_bninception}/VIDEO.npy
#   data/EK100/{verb_perframe,noun_perframe}/VIDEO.npy
# For actions (3,807 columns) append 'target_perframe' to targets and
# action=3807 to num_classes of the head: scores of the validation set then
# take some gigabytes of memory.
_base_ = ['thumos14_features.py']

data_root = 'data/EK100/'
benchmark = 'epic100'
features = ['rgb_kinetics_bninception', 'flow_kinetics_bninception']

dataset = dict(
    benchmark=benchmark,
    data_root=data_root,
    data_prefix=dict(feature=features),
    targets=['verb_perframe', 'noun_perframe'])
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
val_evaluator = dict(benchmark=benchmark)
test_evaluator = val_evaluator
