# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Detection from video files to mAP, whatever the batch and the processes."""
import pickle
from pathlib import Path

import mmengine
import pytest
import torch
from helpers.boxes import (
    DETECTOR,
    NUM_CLASSES,
    TEST_PIPELINE,
    TRAIN_PIPELINE,
    VIDEOS,
    write_videos_with_boxes,
)
from helpers.runs import (
    assert_same,
    config,
    launch,
    make_runner,
    read_log,
    train,
)
from mmengine.config import ConfigDict

pytest.importorskip('av')
pytest.importorskip('mmdet')

@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_videos_with_boxes(tmp_path_factory.mktemp('boxes'))


def loader(data: Path, train: bool, batch_size: int = 2, **dataset) -> dict:
    return dict(
        batch_size=batch_size,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=train),
        batch_sampler=dict(type='StreamBatchSampler'),
        dataset=dict(
            type='OnlineAVADataset',
            ann_file=str(data / 'boxes.csv'),
            label_file=str(data / 'labels.pbtxt'),
            proposal_file=str(data / 'proposals.pkl'),
            data_prefix=dict(video=str(data)),
            num_classes=NUM_CLASSES,
            keyframes='all',
            keyframe_range=(1, 5),
            pipeline=TRAIN_PIPELINE if train else TEST_PIPELINE,
            test_mode=not train,
            **dataset))


def detection_config(folder, data, batch_size=2, test=False, **changes):
    metric = dict(
        type='AVADetectionMetric',
        ann_file=str(data / 'boxes.csv'),
        label_file=str(data / 'labels.pbtxt'),
        num_classes=NUM_CLASSES)
    cfg = config(
        folder,
        train=None if test else loader(data, True, batch_size),
        val=None if test else loader(data, False, batch_size),
        test=loader(data, False, batch_size) if test else None,
        **changes)
    cfg.model = ConfigDict(DETECTOR)
    # Strong weights: what is remembered must show in the scores.
    cfg.model.backbone.init_cfg = [
        dict(type='TruncNormal', layer='Conv3d', std=0.3),
        dict(type='TruncNormal', layer='Linear', std=0.3, bias=0.),
        dict(type='Constant', layer='LayerNorm', val=1., bias=0.)
    ]
    cfg.model.roi_head.box_block.drop = 0.2
    cfg.model.roi_head.box_block.attn_drop = 0.2
    cfg.model.roi_head.bbox_head.dropout_ratio = 0.2
    for key in ('val_evaluator', 'test_evaluator'):
        if key in cfg:
            cfg[key] = metric
    cfg.custom_hooks = [dict(type='MemoryBankHook'), dict(type='StepSeedHook')]
    return cfg


@pytest.fixture(scope='module')
def trained_by_two(tmp_path_factory, data):
    """Folder of a training on two processes."""
    folder = tmp_path_factory.mktemp('two')
    cfg = detection_config(folder / 'run', data, batch_size=1, epochs=2)
    (folder / 'out.txt').write_text(launch('dist_train', folder, cfg, '2'))
    return folder


def test_training_on_two_processes(trained_by_two):
    log = (trained_by_two / 'out.txt').read_text()
    assert 'find_unused_parameters' not in log
    assert log.count('mAP/overall: ') == 2
    # 14 keyframes of 4 videos.
    assert 'val memory: 10 of 14 clips' in log


def test_scores_and_map_whatever_the_batch(tmp_path, data, trained_by_two):
    checkpoint = str(trained_by_two / 'run/epoch_2.pth')
    metrics, scores = {}, {}
    for batch_size in (1, 2, 5):
        runner = make_runner(
            detection_config(
                tmp_path / str(batch_size),
                data,
                batch_size,
                test=True,
                load_from=checkpoint))
        metrics[batch_size] = runner.test()
        scores[batch_size] = runner.recorder.scores
    cfg = detection_config(tmp_path / 'two', data, test=True)
    launch('dist_test', tmp_path, cfg, checkpoint, '2', '--dump', 'two.pkl')
    path, = (tmp_path / 'two').glob('*/*.json')
    metrics['two'] = {
        k: v
        for k, v in mmengine.load(path).items() if k.startswith('mAP/')
    }
    scores['two'] = {
        (x['video_id'], x['timestamp']): x['pred_instances']['scores']
        for x in pickle.loads((tmp_path / 'two.pkl').read_bytes())
    }
    keys = sorted((name, t) for name, _, _, seconds, *_ in VIDEOS
                  for t in range(1, seconds + 1))
    for name, found in scores.items():
        assert metrics[name] == metrics[1]
        assert sorted(found) == keys
        for key in keys:
            assert len(found[key]) == (0 if key[1] == 3 else 3)
            torch.testing.assert_close(
                found[key], scores[1][key], atol=1e-5, rtol=0)
    assert 0 < metrics[1]['mAP/overall'] < 1
    assert len({
        tuple(row)
        for x in scores[1].values() for row in x.tolist()
    }) == 3 * sum(key[1] != 3 for key in keys)


def test_resuming_and_validating_change_no_loss(tmp_path, data):
    no_val = dict(train_cfg=dict(val_begin=10))
    whole = train(
        detection_config(tmp_path / 'whole', data, epochs=2, **no_val))
    losses = whole.recorder.losses
    validated = train(detection_config(tmp_path / 'val', data, epochs=2))
    assert_same(validated.recorder.losses, losses)
    resumed = train(
        detection_config(
            tmp_path / 'rest',
            data,
            epochs=2,
            resume=True,
            load_from=str(tmp_path / 'val/epoch_1.pth')))
    assert_same(resumed.recorder.losses, losses[len(losses) // 2:])
    assert 'train memory: 10 of 14' in read_log(whole)


def test_a_csv_of_results_scores_the_same(tmp_path, data, trained_by_two):
    results = tmp_path / 'results.csv'
    cfg = detection_config(
        tmp_path / 'run',
        data,
        test=True,
        load_from=str(trained_by_two / 'run/epoch_2.pth'))
    cfg.test_evaluator.results_file = str(results)
    metrics = make_runner(cfg).test()
    from mmaction_memvit.annotations.ava import read_action_boxes
    from mmaction_memvit.annotations.label_map import read_label_map
    from mmaction_memvit.evaluation.functional import evaluate_ava
    report = evaluate_ava(
        read_action_boxes(str(data / 'boxes.csv')),
        read_action_boxes(str(results), has_scores=True),
        read_label_map(str(data / 'labels.pbtxt')))
    for name in ('mmaction2', 'official'):
        assert report.metrics(name)['overall'] == pytest.approx(
            metrics[f'mAP/overall_{name}'], abs=1e-9)
