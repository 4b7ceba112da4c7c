# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Wrong runs stop before their first step, however they were started."""
import time

import pytest
from helpers.runs import (
    config,
    made_up_loader,
    make_runner,
    read_log,
    write_videos,
)
from helpers.runs import loader as video_loader

from mmaction_memvit.engine.preflight import PreflightError, Run
from mmaction_memvit.engine.preflight.models import weights_are_there

LENGTHS = [4, 3, 3]


def runner_of(tmp_path, modes='train', streams=True, **changes):
    loaders = {
        mode: made_up_loader(LENGTHS, train=mode == 'train', streams=streams)
        for mode in modes.split()}
    return make_runner(config(tmp_path, **loaders, **changes))


def refused(runner, *words, start='train'):
    """The run stops before its first step, for these reasons."""
    with pytest.raises(PreflightError) as error:
        getattr(runner, start)()
    assert not runner.recorder.losses and not runner.recorder.scores
    for word in words:
        assert word in str(error.value)
    return str(error.value)


@pytest.mark.parametrize('modes,start', [
    ('train', 'train'), ('train val', 'train'), ('train test', 'train'),
    ('val', 'val'), ('test', 'test')])
def test_however_it_is_started(tmp_path, modes, start):
    # Training looks at all loaders, evaluation at its own.
    runner = runner_of(tmp_path, modes, streams=False, custom_hooks=[])
    words = [f'{mode}_dataloader.batch_sampler=dict(type=' for mode in
             modes.split()]
    text = refused(runner, *words,
                   "custom_hooks = [dict(type='MemoryBankHook')]", start=start)
    # All of it at once.
    assert text.count('change: ') == len(words) + 1


def test_validation_is_looked_at_before_training(tmp_path):
    runner = runner_of(
        tmp_path, 'train val', **{'val_evaluator.type': 'AccMetric'})
    # It counts clips; made-up data is not of this package.
    runner.cfg.val_dataloader.dataset.type = 'OnlineVideoDataset'
    runner._val_dataloader.dataset = dict(
        type='OnlineVideoDataset', ann_file='', pipeline=[])
    refused(runner, "val_evaluator = dict(type='VideoAccMetric')")


@pytest.mark.parametrize('num_classes,is_error', [(2, True), (10, False)])
def test_classes_of_the_head(tmp_path, num_classes, is_error):
    data = write_videos(tmp_path)
    runner = make_runner(
        config(tmp_path / 'run', video_loader(data, train=True),
               **{'model.cls_head.num_classes': num_classes}))
    line = 'model.cls_head.num_classes=3'
    if is_error:
        refused(runner, f'num_classes={num_classes}', 'up to 2', line)
        return
    runner.train()
    log = read_log(runner)
    assert f'num_classes={num_classes}' in log and line in log
    assert log.count('preflight: ') == 1


@pytest.mark.parametrize('gap', [1, 5])
def test_positions_too_far_apart(tmp_path, monkeypatch, gap):
    runner = runner_of(tmp_path, **{'model.max_gap': gap})
    kind = type(runner.build_dataloader(runner._train_dataloader).dataset)
    monkeypatch.setattr(kind, 'stream_keys',
                        lambda self: [(f'v{v}', 5 * p) for v, p in self.keys])
    if gap < 5:
        refused(runner, 'max_gap=1', '5 positions', 'model.max_gap=5')
    else:
        runner.train()


def test_parts_that_are_built(tmp_path):
    # As in a notebook.
    data = write_videos(tmp_path)
    cfg = video_loader(data, train=True)
    cfg['dataset']['pipeline'] = [dict(type='SampleFrames', clip_len=4),
                                  *cfg['dataset']['pipeline']]
    runner = runner_of(tmp_path / 'run')
    runner._train_dataloader = runner.build_dataloader(cfg)
    refused(runner, "remove dict(type='SampleFrames')")


@pytest.mark.parametrize('place,step,word', [
    (0, dict(type='DecordDecode'), 'video_reader'),
    (-1, dict(type='PackActionInputs', meta_keys=('img_shape', )),
     'no video_id')])
def test_evaluation_that_would_fail_after_an_epoch(tmp_path, place, step,
                                                   word):
    data = write_videos(tmp_path)
    val = video_loader(data, train=False)
    val['dataset']['pipeline'] = list(val['dataset']['pipeline'])
    val['dataset']['pipeline'][place] = step
    runner = make_runner(
        config(tmp_path / 'run', video_loader(data, train=True), val))
    refused(runner, 'val_dataloader.dataset.pipeline', word)


def test_errors_can_be_made_warnings(tmp_path):
    runner = runner_of(tmp_path, custom_hooks=[], preflight='warn')
    runner.train()
    assert runner.recorder.losses
    assert "custom_hooks = [dict(type='MemoryBankHook')]" in read_log(runner)


def test_a_right_run_is_not_delayed(tmp_path):
    data = write_videos(tmp_path)
    cfg = config(tmp_path / 'run', video_loader(data, train=True),
                 *(video_loader(data, train=False) for _ in range(2)))
    for mode in ('val', 'test'):
        # Another name of the list: only the training's own is odd.
        cfg[f'{mode}_dataloader'].dataset.ann_file = str(data / 'val.txt')
    (data / 'val.txt').write_text((data / 'videos.txt').read_text())
    runner = make_runner(cfg)
    hooks = list(runner.hooks)
    from mmaction_memvit.engine.preflight import preflight
    start = time.process_time()
    preflight(runner, 'train')
    assert time.process_time() - start < 5
    # Nothing is left that would cost a step anything.
    assert runner.hooks == hooks
    runner.train()
    runner.test()
    assert 'preflight' not in read_log(runner)


@pytest.mark.parametrize('checkpoint, told', [
    ('weights/nothere.pth', 1), ('https://somewhere.org/a.pth', 0),
    (__file__, 0)])
def test_weights_to_start_from(checkpoint, told):
    start = dict(type='Pretrained', checkpoint=checkpoint)
    run = Run(
        dict(type='OnlineRecognizer3D',
             backbone=dict(type='MeMViT', arch='tiny', init_cfg=start)),
        dict(train=dict(dataset=dict(type='OnlineVideoDataset'))), {}, ())
    found = list(weights_are_there(run))
    assert len(found) == told
    if told:
        assert found[0].where == 'model.backbone.init_cfg.checkpoint'
        assert checkpoint in found[0].problem
