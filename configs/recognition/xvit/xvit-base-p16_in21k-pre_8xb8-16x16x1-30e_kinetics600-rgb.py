# X-ViT on Kinetics-600: 84.51 published, of 3 crops of one clip.
_base_ = ['xvit-base-p16_in21k-pre_8xb8-16x16x1-30e_kinetics400-rgb.py']

model = dict(
    data_preprocessor=dict(
        blending=dict(augments=[
            dict(type='MixupBlending', alpha=0.4, num_classes=600)
        ])),
    cls_head=dict(num_classes=600))

files = 'data/kinetics600/kinetics600'
train_dataloader = dict(
    dataset=dict(
        ann_file=f'{files}_train_list_videos.txt',
        data_prefix=dict(video='data/kinetics600/videos_train')))
val = dict(
    ann_file=f'{files}_val_list_videos.txt',
    data_prefix=dict(video='data/kinetics600/videos_val'))
val_dataloader = dict(dataset=val)
test_dataloader = dict(dataset=val)
