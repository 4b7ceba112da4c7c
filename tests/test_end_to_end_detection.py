# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Detection from video files to mAP, whatever the batch and the processes."""
from pathlib import Path

import pytest
from helpers.boxes import (
    DETECTOR,
    assert_same_scores,
    box_dataset,
    set_metric,
    write_videos_with_boxes,
)
from helpers.runs import (
    assert_same,
    config,
    launch,
    make_runner,
    on_two_processes,
    read_log,
    train,
)
from mmengine.config import ConfigDict

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
        dataset=box_dataset(data, train, type='OnlineAVADataset', **dataset))


def detection_config(folder, data, batch_size=2, test=False, **changes):
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
    set_metric(cfg, data)
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
    metrics['two'], dumped = on_two_processes(tmp_path, cfg, checkpoint)
    scores['two'] = {k: x['pred_instances']['scores']
                     for k, x in dumped.items()}
    assert_same_scores(metrics, scores)


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
    from mmaction_memvit.annotations.class_names import read_label_map
    from mmaction_memvit.evaluation.functional import evaluate_ava
    report = evaluate_ava(
        read_action_boxes(str(data / 'boxes.csv')),
        read_action_boxes(str(results), has_scores=True),
        read_label_map(str(data / 'labels.pbtxt')))
    for name in ('mmaction2', 'official'):
        assert report.metrics(name)['overall'] == pytest.approx(
            metrics[f'mAP/overall_{name}'], abs=1e-9)
