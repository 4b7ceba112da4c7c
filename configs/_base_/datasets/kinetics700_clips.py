# Kinetics-700, as Kinetics-400.
_base_ = ['kinetics400_clips.py']

files = 'data/kinetics700/kinetics700'
train_dataloader = dict(
    dataset=dict(
        ann_file=f'{files}_train_list_videos.txt',
        data_prefix=dict(video='data/kinetics700/videos_train'),
        index_file='data/kinetics700/index_train.json'))
val = dict(
    ann_file=f'{files}_val_list_videos.txt',
    data_prefix=dict(video='data/kinetics700/videos_val'),
    index_file='data/kinetics700/index_val.json')
val_dataloader = dict(dataset=val)
test_dataloader = dict(dataset=val)
