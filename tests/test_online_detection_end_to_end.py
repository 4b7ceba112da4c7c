# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Online action detection from features to mAP, by all configs, shrunk."""
from pathlib import Path

import pytest
from helpers.online_detection import (
    LENGTHS,
    NUM_NOUNS,
    NUM_VERBS,
    WIDTHS,
    write_benchmark,
)
from helpers.runs import on_two_processes, train
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.fileio import load

CONFIGS = Path(__file__).resolve().parents[1] / 'configs/online_detection'
EVERY = sorted(CONFIGS.rglob('*-feature.py'))
# Of each benchmark its measures.
NAMES = dict(thumos14=['mAP'], tvseries=['mcAP'],
             epic100=['verb_mAP', 'noun_mAP'])


def shrunk(path, benchmark, folder):
    """A config on small made-up features."""
    several = benchmark == 'epic100'
    cfg = Config.fromfile(str(path))
    for mode in ('train', 'val', 'test'):
        loader = cfg[f'{mode}_dataloader']
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        loader.dataset.update(
            data_root=str(folder), clip_len=8,
            data_prefix=dict(feature=list(WIDTHS)),
            targets=['verb', 'noun'] if several else 'target')
    head, neck, lr = cfg.model.cls_head, cfg.model.get('neck'), 0.1
    if several:
        head.num_classes = dict(verb=NUM_VERBS, noun=NUM_NOUNS)
    head = head.get('head', head)
    head.in_channels = sum(WIDTHS.values())
    if neck:
        neck.update(in_channels=head.in_channels, embed_dims=16, num_heads=2)
        head.in_channels, lr = 16, 1e-2
        for key in {'work_len', 'long_len', 'mem_len'} & set(neck):
            neck[key] = 8
    cfg.train_cfg.update(max_epochs=6, val_interval=6)
    cfg.param_scheduler = []
    cfg.optim_wrapper.optimizer.lr = lr
    cfg.work_dir = str(folder / 'run')
    cfg.experiment_name = str(folder).replace('/', '_')
    cfg.log_level = 'WARNING'
    cfg.randomness = dict(seed=0)
    return cfg


@pytest.fixture(scope='module', params=EVERY, ids=lambda p: p.stem)
def trained(request, tmp_path_factory):
    benchmark = request.param.stem.split('_')[-1].split('-')[0]
    folder = tmp_path_factory.mktemp(benchmark)
    write_benchmark(folder, benchmark)
    with pytest.MonkeyPatch.context() as patch:
        # To make the log's copy of a config pretty takes longest.
        patch.setattr(Config, 'pretty_text', property(repr))
        runner = train(shrunk(request.param, benchmark, folder))
        metrics = runner.test()
    return request.param, benchmark, folder, runner, metrics


def test_features_tell_the_classes(trained):
    path, benchmark, folder, runner, metrics = trained
    # These are not meant to be the better ones here, but to run.
    least = 0.8 if 'framewise' in path.parts else 0.2
    names = NAMES[benchmark]
    assert next(iter(metrics)) == f'frame/{names[0]}'
    for name in names:
        # Chance is the share of a class, calibrated 0.5.
        assert metrics[f'frame/{name}'] > least
        assert 0 < metrics[f'frame/{name}_stage1'] <= 1
    assert list((folder / 'run').glob(f'best_frame_{names[0]}_epoch_6.pth'))
    # Every clip of every test video, once.
    assert sorted(runner.recorder.scores) == [
        (f'test_{i}', k) for i, length in enumerate(LENGTHS['test'])
        for k in range(-(-length // 8))]


def test_two_processes_and_a_dump_give_the_same(trained):
    path, benchmark, folder, _, metrics = trained
    if path.stem.split('-')[0] not in ('linear_k400', 'linear_1xb16',
                                       'lstr_k400') or benchmark == 'tvseries':
        pytest.skip('it differs in a measure or a neck from one that is '
                    'tested')
    cfg = shrunk(path, benchmark, folder)
    cfg.work_dir = 'two_run'
    checkpoint, = (folder / 'run').glob('best_*.pth')
    found, _ = on_two_processes(folder, cfg, str(checkpoint))
    assert found == pytest.approx(metrics, abs=1e-12)
    # What MMAction2's eval_metric.py does.
    again = Evaluator(cfg.test_evaluator).offline_evaluate(
        load(str(folder / 'two.pkl')))
    assert again == pytest.approx(metrics, abs=1e-12)
