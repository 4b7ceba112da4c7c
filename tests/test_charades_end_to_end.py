# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Charades from videos and list to mAP, and the configs, shrunk."""
import copy
from pathlib import Path

import pytest
import torch
from helpers.charades import write_frames, write_list, write_videos
from helpers.runs import make_runner, train
from mmaction.registry import DATA_SAMPLERS, DATASETS, MODELS
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
RECIPES = sorted(CONFIGS.glob('recognition/charades/*.py'))
NUM_CLASSES = 6
ROWS = [('AAAAA', 'c000 0.00 1.00;c003 0.50 2.00', 2.),
        ('BBBBB', 'c001 0.00 1.00', 1.5), ('CCCCC', '', 1.5),
        ('DDDDD', 'c005 0.20 1.00;c003 0.00 1.00', 1.)]
META = ('video_id', 'num_clips', 'clip_len')
MODES = ('train', 'val', 'test')


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # To make the log's copy of a config pretty takes longer than all else.
    monkeypatch.setattr(Config, 'pretty_text', property(repr))
    write_list(tmp_path / 'list.csv', ROWS)
    write_videos(tmp_path / 'videos', ROWS)
    return tmp_path


def loader(root, is_train, **kwargs):
    return dict(
        batch_size=2 if is_train else 1,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=is_train),
        dataset=dict(
            type='CharadesDataset',
            ann_file=str(root / 'list.csv'),
            data_prefix=dict(video=str(root / 'videos')),
            num_classes=NUM_CLASSES,
            test_mode=not is_train,
            pipeline=[
                dict(
                    type='SampleFrames', clip_len=4, frame_interval=2,
                    num_clips=3, test_mode=not is_train),
                *([dict(type='LabelSampledClips')] if is_train else []),
                dict(type='LoadVideoClip'),
                dict(type='Resize', scale=(32, 32), keep_ratio=False),
                *([] if is_train else
                  [dict(type='ThreeCrop', crop_size=32)]),
                dict(type='FormatShape', input_format='NCTHW'),
                dict(type='PackActionInputs', meta_keys=META)
            ]))


def config(root, **model):
    test = loader(root, False)
    return Config(
        dict(
            default_scope='mmaction',
            model=dict(
                dict(
                    type='CollaborativeRecognizer3D',
                    backbone=dict(
                        type='ResNet3dSlowOnly', depth=18, pretrained=None,
                        base_channels=4, lateral=False, conv1_kernel=(1, 7, 7),
                        inflate=(0, 0, 1, 1)),
                    neck=dict(type='CollaborativeMemory', in_channels=32),
                    cls_head=dict(
                        type='I3DHead', in_channels=32,
                        num_classes=NUM_CLASSES, multi_class=True,
                        loss_cls=dict(type='BCELossWithLogits'),
                        average_clips=None),
                    data_preprocessor=dict(
                        type='ActionDataPreprocessor', mean=[127.] * 3,
                        std=[64.] * 3, format_shape='NCTHW')), **model),
            train_dataloader=loader(root, True),
            val_dataloader=test,
            test_dataloader=test,
            val_evaluator=dict(type='MultiLabelMAPMetric'),
            test_evaluator=[
                dict(type='MultiLabelMAPMetric'),
                dict(type='DumpResults', out_file_path='dump.pkl')
            ],
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=1),
            val_cfg=dict(type='ValLoop'),
            test_cfg=dict(type='TestLoop'),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', save_best='auto')),
            work_dir=str(root / 'run'),
            experiment_name=str(root).replace('/', '_'),
            log_level='WARNING',
            randomness=dict(seed=0)))


@pytest.mark.parametrize('model', [
    dict(mode='multi_iteration'),
    dict(type='Recognizer3D', neck=None)
], ids=['memory', 'stock'])
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


def test_what_is_not_scored_is_named(root):
    cfg = config(root)
    cfg.test_dataloader.sampler = dict(type='Half')

    @DATA_SAMPLERS.register_module(force=True)
    class Half:

        def __init__(self, dataset, **kwargs):
            self.dataset = dataset

        def __iter__(self):
            return iter([0, 2])

        def __len__(self):
            return 2

    with pytest.raises(ValueError, match="'BBBBB', 'DDDDD'"):
        make_runner(cfg).test()


# The configs


def publish(model, root):
    """Writes the weights of MMAction2's model of the same backbone."""
    stock = ConfigDict(
        type='mmaction.Recognizer3D',
        backbone=copy.deepcopy(model.backbone),
        cls_head=dict(
            type='mmaction.SlowFastHead', num_classes=400,
            in_channels=model.cls_head.in_channels))
    stock.backbone.slow_pathway.pop('non_local', None)
    state = MODELS.build(stock).state_dict()
    state['backbone.slow_path.conv1.conv.weight'][:] = 0.25
    torch.save(dict(state_dict=state), root / 'published.pth')
    return str(root / 'published.pth')


def shrink(cfg, root, source):
    """A config as it stands, but for its size."""
    model = cfg.model
    depth = model.backbone.slow_pathway.depth
    model.backbone.slow_pathway.base_channels = 8
    model.backbone.fast_pathway.base_channels = 1
    model.cls_head.in_channels = 8 * 32 + 1 * 32
    model.cls_head.num_classes = NUM_CLASSES
    if model.get('neck'):
        assert model.neck.in_channels == (2048, 256)
        model.neck.in_channels = (256, 32)
    for name in MODES:
        data = cfg[f'{name}_dataloader']
        assert data.dataset.type == 'CharadesDataset'
        data.num_workers = 0
        data.persistent_workers = False
        data.dataset.update(
            ann_file=str(root / 'list.csv'), data_prefix=ConfigDict(source),
            index_file=None, num_classes=NUM_CLASSES)
        for step in data.dataset.pipeline:
            if step.type == 'SampleFrames':
                assert (step.clip_len, step.frame_interval) == (64, 2)
                step.update(clip_len=8, num_clips=min(step.num_clips, 2))
            for key, value in (('scale', (-1, 32)), ('scale_range', (32, 40)),
                               ('size', 32), ('crop_size', 32)):
                if key in step:
                    step[key] = value
    for node in (cfg.val_evaluator, cfg.test_evaluator):
        node.pop('class_names')
    if cfg.load_from:
        assert f'slowfast_r{depth}_8xb8-8x8x1' in cfg.load_from
        cfg.load_from = publish(model, root)
    else:
        assert f'slowfast_r{depth}_8xb8-8x8x1' in model.init_cfg.checkpoint
        model.init_cfg.checkpoint = publish(model, root)
    cfg.work_dir = str(root / 'run')
    cfg.experiment_name = str(root).replace('/', '_')
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.checkpoint.interval = 1000
    cfg.default_hooks.checkpoint.save_best = None
    cfg.log_level = 'WARNING'
    cfg.randomness = dict(seed=0)


@pytest.mark.parametrize('path', RECIPES, ids=lambda p: p.stem)
def test_config_trains_and_tests(path, root):
    torch.set_num_threads(1)
    cfg = Config.fromfile(str(path))
    assert cfg.auto_scale_lr.base_batch_size == 16
    sampling = cfg.train_dataloader.dataset.pipeline[1]
    assert ('memory' in path.stem) == bool(cfg.model.get('neck'))
    assert f'-n{sampling.num_clips}-' in path.stem
    shrink(cfg, root, dict(video=str(root / 'videos')))
    cfg.optim_wrapper.optimizer.lr = 1e-5
    runner = make_runner(cfg)
    before = {k: v.clone() for k, v in runner.model.state_dict().items()}
    runner.train()
    assert len(runner.recorder.losses) == 2
    assert all(0 < x < 10 for x in runner.recorder.losses)
    after = runner.model.state_dict()
    # The published weights were loaded, and then trained.
    loaded = after['backbone.slow_path.conv1.conv.weight']
    assert 0 < (loaded - 0.25).abs().max() < 0.1
    same = [k for k in before if torch.equal(before[k], after[k])]
    assert len(same) < len(before) / 4, same
    metrics = runner.test()
    # 2 clips x 3 crops.
    assert {tuple(v.shape) for v in runner.recorder.scores.values()
            } == {(6, NUM_CLASSES)}
    assert 0 < metrics['multi_label/mAP'] < 1


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
        data.update(
            ann_file='list.csv', data_prefix=source, index_file=None,
            num_classes=NUM_CLASSES)
        for step in data.pipeline:
            if 'scale' in step:
                step.scale = (-1, 32)
            if 'crop_size' in step:
                step.crop_size = 32
        samples.append(DATASETS.build(data)[0])
    one, two = samples
    assert one['inputs'].shape == two['inputs'].shape == (
        30, 3, 64, 32, 32)
    difference = one['inputs'].float() - two['inputs'].float()
    assert difference.abs().mean() < 12
    assert torch.equal(one['data_samples'].gt_label,
                       two['data_samples'].gt_label)
