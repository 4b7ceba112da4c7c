# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Charades from videos and list to mAP, and the configs, shrunk."""
from pathlib import Path

import pytest
import torch
from helpers.charades import write_frames, write_list, write_videos
from helpers.runs import train
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
NUM_CLASSES = 6
ROWS = [('AAAAA', 'c000 0.00 1.00;c003 0.50 2.00', 2.),
        ('BBBBB', 'c001 0.00 1.00', 1.5), ('CCCCC', '', 1.5),
        ('DDDDD', 'c005 0.20 1.00;c003 0.00 1.00', 1.)]
META = ('video_id', 'num_clips', 'clip_len')


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_list(tmp_path / 'list.csv', ROWS)
    write_videos(tmp_path / 'videos', ROWS)
    return tmp_path


def loader(root, is_train, **kwargs):
    return dict(
        batch_size=2 if is_train else 1, num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=is_train),
        dataset=dict(
            type='CharadesDataset', ann_file=str(root / 'list.csv'),
            data_prefix=dict(video=str(root / 'videos')),
            num_classes=NUM_CLASSES, test_mode=not is_train,
            pipeline=[
                dict(type='SampleFrames', clip_len=4, frame_interval=2,
                     num_clips=3, test_mode=not is_train),
                *([dict(type='LabelSampledClips')] if is_train else []),
                dict(type='LoadVideoClip'),
                dict(type='Resize', scale=(32, 32), keep_ratio=False),
                *([] if is_train else [dict(type='ThreeCrop', crop_size=32)]),
                dict(type='FormatShape', input_format='NCTHW'),
                dict(type='PackActionInputs', meta_keys=META)]))


def config(root, **model):
    test = loader(root, False)
    return Config(
        dict(default_scope='mmaction',
             model=dict(
                 dict(type='CollaborativeRecognizer3D',
                      backbone=dict(type='ResNet3dSlowOnly', depth=18,
                                    pretrained=None, base_channels=4,
                                    lateral=False, conv1_kernel=(1, 7, 7),
                                    inflate=(0, 0, 1, 1)),
                      neck=dict(type='CollaborativeMemory', in_channels=32),
                      cls_head=dict(type='I3DHead', in_channels=32,
                                    num_classes=NUM_CLASSES, multi_class=True,
                                    loss_cls=dict(type='BCELossWithLogits'),
                                    average_clips=None),
                      data_preprocessor=dict(type='ActionDataPreprocessor',
                                             mean=[127.] * 3, std=[64.] * 3,
                                             format_shape='NCTHW')),
                 **model),
             train_dataloader=loader(root, True), val_dataloader=test,
             test_dataloader=test,
             val_evaluator=dict(type='MultiLabelMAPMetric'),
             test_evaluator=[dict(type='MultiLabelMAPMetric'),
                             dict(type='DumpResults',
                                  out_file_path='dump.pkl')],
             train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=1),
             val_cfg=dict(type='ValLoop'), test_cfg=dict(type='TestLoop'),
             optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
             default_hooks=dict(checkpoint=dict(type='CheckpointHook',
                                                save_best='auto')),
             work_dir=str(root / 'run'),
             experiment_name=str(root).replace('/', '_'), log_level='WARNING',
             randomness=dict(seed=0)))


@pytest.mark.parametrize('model', [
    dict(mode='multi_iteration'),
    dict(type='Recognizer3D', neck=None)], ids=['memory', 'stock'])
def test_trains_and_tests(root, model):
    cfg = config(root, **model)
    if 'mode' not in model:
        # MMAction2's own recognizers learn from one clip of a video.
        cfg.train_dataloader.dataset.pipeline[0].num_clips = 1
    runner = train(cfg)
    assert len(runner.recorder.losses) == 2
    # Binary cross entropy of what knows nothing, for clips and for videos.
    expected = 0.69 * (2 if 'mode' in model else 1)
    assert runner.recorder.losses[0] == pytest.approx(expected, rel=0.15)
    assert list((root / 'run').glob('best_multi_label_mAP_epoch_1.pth'))
    # All views of every video.
    assert {k[0]: tuple(v.shape) for k, v in runner.recorder.scores.items()
            } == {row[0]: (9, NUM_CLASSES) for row in ROWS}
    metrics = runner.test()
    assert set(metrics) == {
        f'multi_label/{x}' for x in ('mAP', 'mAP_labelled', 'classes')}
    assert metrics['multi_label/classes'] == 4
    assert 0 < metrics['multi_label/mAP'] <= metrics[
        'multi_label/mAP_labelled'] <= 1
    assert (root / 'dump.pkl').exists()


def test_config_of_frames(root):
    """The frames take the place of the videos, and show the same."""
    init_default_scope('mmaction')
    write_frames(root / 'frames', ROWS)
    samples = []
    for name, source in (('charades_clips', dict(video='videos')),
                         ('charades_frame_clips', dict(img='frames'))):
        cfg = Config.fromfile(str(CONFIGS / f'_base_/datasets/{name}.py'))
        data = cfg.test_dataloader.dataset
        assert set(data.data_prefix) == set(source)
        # One video would be nothing to normalise over.
        assert cfg.train_dataloader.drop_last
        data.update(ann_file='list.csv', data_prefix=source, index_file=None,
                    num_classes=NUM_CLASSES)
        for step in data.pipeline:
            if 'scale' in step:
                step.scale = (-1, 32)
            if 'crop_size' in step:
                step.crop_size = 32
        samples.append(DATASETS.build(data)[0])
    one, two = samples
    assert one['inputs'].shape == two['inputs'].shape == (30, 3, 64, 32, 32)
    difference = one['inputs'].float() - two['inputs'].float()
    assert difference.abs().mean() < 12
    assert torch.equal(one['data_samples'].gt_label,
                       two['data_samples'].gt_label)
