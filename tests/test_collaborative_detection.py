# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Detection by windows, from video files to mAP, however it is split."""

import numpy as np
import pytest
from helpers.boxes import (
    DETECTOR,
    VIDEOS,
    assert_same_scores,
    box_dataset,
    set_metric,
    write_videos_with_boxes,
)
from helpers.runs import (
    assert_same,
    config,
    make_runner,
    on_two_processes,
    train,
)
from mmengine.config import ConfigDict

pytest.importorskip('mmdet')

KEYS = sorted((name, t) for name, _, _, seconds, *_ in VIDEOS
              for t in range(1, seconds + 1))


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_videos_with_boxes(tmp_path_factory.mktemp('boxes'))


def loader(data, train, batch_size, **dataset):
    return dict(
        batch_size=batch_size,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=train),
        batch_sampler=dict(type='DistinctVideoBatchSampler'),
        dataset=box_dataset(
            data, train, type='CollaborativeAVADataset', num_clips=3,
            **dataset))


def run_config(folder, data, batch_size=2, test=False, size=2, **changes):
    test_loader = loader(data, False, batch_size, keyframes_per_item=size)
    cfg = config(
        folder,
        train=None if test else loader(data, True, 2, window_step=1),
        val=None if test else test_loader,
        test=test_loader if test else None,
        **changes)
    cfg.model = ConfigDict(DETECTOR)
    cfg.model.type = 'CollaborativeFastRCNN'
    cfg.model.backbone = dict(
        type='mmaction.ResNet3dSlowOnly',
        depth=18,
        base_channels=4,
        pretrained=None,
        lateral=False,
        conv1_kernel=(1, 7, 7),
        inflate=(0, 0, 1, 1),
        spatial_strides=(1, 2, 2, 1))
    cfg.model.neck = dict(
        type='mmaction.CollaborativeMemory', in_channels=32, zero_init=False)
    head = cfg.model.roi_head
    head.box_block = None
    head.bbox_roi_extractor.featmap_stride = 16
    head.bbox_head.update(
        in_channels=32, mlp_head=True, init_std=0.3, dropout_ratio=0.2)
    cfg.custom_hooks = [dict(type='MemoryBankHook'), dict(type='StepSeedHook')]
    set_metric(cfg, data)
    return cfg


@pytest.fixture(scope='module')
def trained(tmp_path_factory, data):
    """A runner after two epochs."""
    folder = tmp_path_factory.mktemp('trained')
    return train(run_config(folder, data, epochs=2))


def test_scores_however_they_are_split(tmp_path, data, trained):
    checkpoint = str(trained.cfg.work_dir) + '/epoch_2.pth'
    metrics, scores = {}, {}
    for batch_size, size in ((1, 1), (1, 3), (2, 16), (5, 2)):
        name = f'{batch_size}x{size}'
        cfg = run_config(
            tmp_path / name,
            data,
            batch_size,
            True,
            size,
            load_from=checkpoint)
        if size == 16:
            cfg.model.test_cfg.max_testing_views = 2
        runner = make_runner(cfg)
        metrics[name] = runner.test()
        scores[name] = runner.recorder.scores
    metrics['two'], dumped = on_two_processes(
        tmp_path, run_config(tmp_path / 'two', data, 1, True), checkpoint)
    scores['two'] = {k: x['pred_instances']['scores']
                     for k, x in dumped.items()}
    assert_same_scores(metrics, scores)


def test_resuming_changes_no_loss(tmp_path, data, trained):
    losses = trained.recorder.losses
    assert np.isfinite(losses).all()
    # Windows of two videos in each step, all of them in an epoch.
    for step in trained.recorder.clips:
        assert len({video for video, _ in step}) == 2
    assert sorted(set(sum(trained.recorder.clips[:7], []))) == KEYS
    resumed = train(
        run_config(
            tmp_path,
            data,
            epochs=2,
            resume=True,
            load_from=str(trained.cfg.work_dir) + '/epoch_1.pth'))
    assert_same(resumed.recorder.losses, losses[len(losses) // 2:])
