# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Wrong runs stop before their first step, however they were started."""
import re
import time

import pytest
from helpers.epic import build_model
from helpers.preflight import ROOT, findings
from helpers.runs import (
    config,
    made_up_loader,
    make_runner,
    read_log,
    write_videos,
)
from helpers.runs import loader as video_loader
from mmengine.config import Config

from mmaction_memvit.engine.preflight import (
    PreflightError,
    Run,
    find_problems,
)
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


# From the README's own words.


def memory_snippet():
    """The documentation's config of a model with memory."""
    blocks = re.findall(r'```python\n(.*?)```',
                        (ROOT / 'docs/memvit.md').read_text(), re.S)
    return next(x for x in blocks
                if 'MemoryBankHook' in x and 'StreamBatchSampler' in x)


@pytest.fixture(scope='module')
def snippet_config(tmp_path_factory):
    """The snippet on a stock config, as a user puts it there."""

    def read(base, text=None):
        path = tmp_path_factory.mktemp('readme') / 'config.py'
        path.write_text(f"""
_base_ = 'mmaction::recognition/{base}.py'
custom_imports = dict(imports=['mmaction_memvit'])
{memory_snippet() if text is None else text}
""")
        return Config.fromfile(str(path))

    return read


BASE = 'c3d/c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb'
MVIT = 'mvit/mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb'


def test_sampling_transforms_of_a_stock_pipeline(snippet_config):
    for base in (BASE, MVIT):
        found = findings(snippet_config(base))
        where, = [x for x in found if x.is_error
                  and 'SampleFrames' in x.problem]
        assert where.where.startswith('train_dataloader.dataset.pipeline')
        assert "remove dict(type='SampleFrames')" in where.change
        # What the snippet does not say of validation is told as well.
        told = ''.join(map(str, found))
        for line in (
                "val_dataloader.dataset.type='OnlineVideoDataset'",
                "val_dataloader.batch_sampler=dict(type='StreamBatchSampler')",
                'test_dataloader.dataset.type'):
            assert line in told
        # What validation and testing have in common is told once.
        assert told.count("dataset.type='OnlineVideoDataset'") == 1


# Runs.


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


def test_built_heads_tell_the_classes_of_their_tasks():
    run = Run(build_model(), dict(val=dict(
        dataset=dict(type='OnlineEpicDataset'))), dict(
            val=dict(type='EpicRecognitionMetric', num_verbs=7)), ())
    found = [x for x in find_problems(run) if 'verb' in x.where]
    assert len(found) == 1 and 'num_verbs=7' in found[0].problem


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


def draw_frames(results):
    """A transform of the user's own that takes other frames."""
    results['frame_inds'] = results['frame_inds'][::-1]
    return results


@pytest.mark.parametrize('steps,line', [
    ([dict(type='SampleFrames', clip_len=4)],
     "remove dict(type='SampleFrames')"),
    ([draw_frames], 'remove draw_frames'), ([lambda results: results], None)])
def test_parts_that_are_built(tmp_path, steps, line):
    # As in a notebook.
    data = write_videos(tmp_path)
    cfg = video_loader(data, train=True)
    cfg['dataset']['pipeline'] = [*steps, *cfg['dataset']['pipeline']]
    runner = runner_of(tmp_path / 'run')
    runner._train_dataloader = runner.build_dataloader(cfg)
    if line is None:
        runner.train()
    else:
        refused(runner, line)


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
