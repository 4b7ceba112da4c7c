# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Whole runs, from video files to metrics."""
import json
import math
import re

import numpy as np
import pytest
import torch
from helpers.runs import (
    NUM_CLIPS,
    assert_same,
    close,
    config,
    launch,
    loader,
    make_runner,
    on_two_processes,
    read_log,
    train,
    write_videos,
)
from helpers.videos import truncate, write_video


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    return write_videos(tmp_path_factory.mktemp('videos'))


# Losses: resuming and validating.


@pytest.mark.parametrize('num_workers,unroll,changes', [
    (0, 1, {}),
    # Windows of 3 clips, the last one of 2.
    (0, 3, {
        'model.with_cp': True, 'optim_wrapper.accumulative_counts': 2,
        'custom_hooks': [dict(type='MemoryBankHook'), dict(type='EMAHook')]}),
    (2, 1, {
        'model.backbone.drop_path_rate': 0.5,
        'model.cls_head.dropout_ratio': 0.5,
        'custom_hooks': [dict(type='MemoryBankHook'),
                         dict(type='StepSeedHook')]}),
])
def test_resuming_and_validating_change_no_loss(tmp_path, videos, num_workers,
                                                unroll, changes):
    data = loader(videos, train=True, num_workers=num_workers)
    data['batch_sampler']['unroll'] = unroll
    val = loader(videos, train=False, num_workers=num_workers)
    steps = math.ceil(11 / unroll)
    plain = train(config(tmp_path / 'a', data, epochs=3, **changes))
    losses = plain.recorder.losses
    assert len(losses) == 3 * steps
    validated = train(config(tmp_path / 'b', data, val, epochs=3, **changes))
    assert_same(validated.recorder.losses, losses)
    resumed = train(config(tmp_path / 'c', data, epochs=3, resume=True,
                           load_from=str(tmp_path / 'b/epoch_1.pth'),
                           **changes))
    assert_same(resumed.recorder.losses, losses[steps:])
    for name, param in plain.model.named_parameters():
        torch.testing.assert_close(
            resumed.model.get_parameter(name), param, atol=1e-6, rtol=0)
    # None of this would be said of losses that know nothing of the past.
    changes = {**changes, 'model.backbone.mem_len': 0}
    other = train(config(tmp_path / 'd', data, **changes)).recorder.losses
    assert np.abs(np.subtract(other, losses[:steps]))[1:].max() > 1e-2


@pytest.mark.parametrize('dtype, unroll', [
    ('bfloat16', 1),
    ('bfloat16', 3),
    pytest.param('float16', 3, marks=pytest.mark.cuda),
])
def test_mixed_precision(tmp_path, videos, monkeypatch, dtype, unroll):
    # The wrapper asks for an accelerator; bfloat16 works on a CPU as well.
    monkeypatch.setattr(
        'mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available',
        lambda: True)
    data = loader(videos, train=True)
    data['batch_sampler']['unroll'] = unroll
    changes = {'optim_wrapper.type': 'AmpOptimWrapper',
               'optim_wrapper.dtype': dtype, 'val_cfg.fp16': True,
               'model.with_cp': unroll > 1}
    if dtype == 'float16':
        # The first step is skipped.
        changes['optim_wrapper.loss_scale'] = dict(
            init_scale=2.**60, backoff_factor=2.**-50)
    runner = train(
        config(tmp_path / 'a', data, loader(videos, train=False), **changes))
    exact = train(config(tmp_path / 'b', data)).recorder.losses
    assert np.isfinite(runner.recorder.losses).all()
    # Close as long as the weights are.
    steps = 1 if dtype == 'float16' else 2
    error = np.abs(np.subtract(runner.recorder.losses, exact))[:steps]
    assert 0 < error.max() < 0.05
    if dtype == 'float16':
        assert runner.optim_wrapper.loss_scaler.get_scale() == 2**10
    bank = runner.model.banks['train']
    entry = next(iter(bank._streams.values()))
    key, *_ = entry.stored.memory[0].layers[0].raw_k
    assert key.dtype == getattr(torch, dtype)
    assert all(p.dtype == torch.float32 for p in runner.model.parameters())
    assert len(runner.recorder.scores) == sum(NUM_CLIPS)


# Videos that fail.


@pytest.mark.parametrize('num_workers', [0, 1])
def test_a_video_that_fails_in_the_middle(tmp_path, num_workers):
    lines = []
    for i in range(4):
        # A Matroska file that is cut off can be read up to there.
        write_video(tmp_path / f'v{i}.mkv', 48, first=1000 * i, gop=4,
                    height=128, width=128)
        lines.append(f'v{i}.mkv {i % 3}\n')
    (tmp_path / 'videos.txt').write_text(''.join(lines))

    cfg = config(tmp_path / 'run',
                 loader(tmp_path, train=True, num_workers=num_workers),
                 epochs=2)
    runner = make_runner(cfg)
    # The loader, and with it the frame counts, are there before.
    runner._train_dataloader = runner.build_dataloader(
        cfg.train_dataloader, seed=runner.seed)
    truncate(tmp_path / 'v2.mkv', tmp_path / 'v2.mkv', share=0.6)
    runner.train()
    close(runner)

    log = read_log(runner)
    assert log.count('cannot be read (') == 1
    assert re.search(
        r"WARNING - video '\S*v2.mkv': frames \d+ to \d+ cannot be read \("
        r'.*Another clip takes its place', log)
    counts = re.findall(
        r'train data: (\d+) clips of 1 videos could not be read so far and '
        r'were replaced; .*: v2.mkv', log)
    first, second = map(int, counts)
    # The first half of its 12 clips is there.
    assert 4 <= first < second
    assert len(runner.recorder.losses) == 2 * 24
    assert np.isfinite(runner.recorder.losses).all()
    # Replacements are who they are, not who was asked for: an oracle that
    # follows the clips that came finds the same streams.
    for epoch in range(2):
        clips = runner.recorder.clips[24 * epoch:24 * (epoch + 1)]
        last, continued, read = {}, 0, set()
        for step in clips:
            found = [last.get(video) == at - 1 for video, at in step]
            continued += sum(found)
            last.update(step)
            read.update(at for video, at in step if video == 'v2.mkv')
        assert 0 in read and 11 not in read
        assert re.findall(r'train memory: (\d+) of 48', log)[epoch] == str(
            continued)


# Evaluation and training on one process and on two.

# What only the processes of a job can tell.
PROBE = """
import json

import torch
from mmaction.registry import HOOKS
from mmengine.dist import all_gather, get_rank
from mmengine.hooks import Hook


@HOOKS.register_module()
class RankProbe(Hook):
    priority = 'VERY_LOW'

    def __init__(self):
        self.steps = []

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        model = runner.model.module
        flat = torch.cat([p.detach().flatten() for p in model.parameters()])
        self.steps.append(dict(
            loss=outputs['loss'].item(),
            labels=[int(x.gt_label) for x in data_batch['data_samples']],
            clips=[(x.video_id, x.timestamp)
                   for x in data_batch['data_samples']],
            equal=all(torch.equal(flat, x) for x in all_gather(flat)),
            weights=flat.double().sum().item(),
            find_unused=runner.model.find_unused_parameters))

    def after_train(self, runner):
        with open(f'{runner.work_dir}/rank{get_rank()}.json', 'w') as f:
            json.dump(self.steps, f)
"""


@pytest.fixture(scope='module')
def trained_by_two(tmp_path_factory, videos):
    """Folder of a training on two processes."""
    folder = tmp_path_factory.mktemp('two')
    # A second of each video is labelled: one clip of 4 frames at 4 per
    # second. The other clips belong to no loss.
    lines = [f'v{i}.mp4 0 {4 / 30 + 0.01} {i % 3}\n' for i in range(5)]
    (folder / 'segments.txt').write_text(''.join(lines))
    cfg = config(
        folder / 'run',
        loader(videos, train=True, batch_size=1,
               ann_file=str(folder / 'segments.txt'), ann_format='segments'),
        loader(videos, train=False), epochs=2,
        model=dict(backbone=dict(mem_stride=2, drop_path_rate=0.3),
                   cls_head=dict(dropout_ratio=0.3)),
        custom_hooks=[
            dict(type=name)
            for name in ('MemoryBankHook', 'StepSeedHook', 'RankProbe')])
    cfg.custom_imports.imports.append('rank_probe')
    (folder / 'rank_probe.py').write_text(PROBE)
    folder.joinpath('out.txt').write_text(launch(folder, cfg))
    return folder


def test_training_on_two_processes(trained_by_two):
    log = (trained_by_two / 'out.txt').read_text()
    ranks = [json.loads((trained_by_two / f'run/rank{r}.json').read_text())
             for r in range(2)]
    assert len(ranks[0]) == len(ranks[1]) == 22
    for first, second in zip(*ranks):
        assert not first['find_unused'] and not second['find_unused']
        assert first['equal'] and second['equal']
        assert not set(map(tuple, first['clips'])) & set(
            map(tuple, second['clips']))
    weights = [step['weights'] for step in ranks[0]]
    assert len(set(weights)) == len(weights)
    # Steps with labels on both processes, on one of them, and on none.
    labelled = {tuple(step['labels'][0] >= 0 for step in steps)
                for steps in zip(*ranks)}
    assert len(labelled) >= 3
    for steps in ranks:
        for step in steps:
            assert (step['loss'] == 0) == (step['labels'] == [-1])
    # The log speaks for both processes.
    assert re.findall(r'train memory: (\d+) of (\d+)', log) == [
        (str(22 - starts), '22') for starts in count_starts(ranks)]
    assert re.findall(r'val memory: (\d+) of (\d+)', log) == [('15', '20')] * 2


def count_starts(ranks):
    """How many clips of each of two epochs follow no other."""
    counts = []
    for epoch in range(2):
        last, starts = {}, 0
        for steps in ranks:
            for step in steps[11 * epoch:11 * (epoch + 1)]:
                (video, position), = step['clips']
                starts += last.get(video) != position - 1
                last[video] = position
        counts.append(starts)
    return counts


def test_scores_and_metrics_whatever_the_batch(tmp_path, videos,
                                               trained_by_two):
    checkpoint = str(trained_by_two / 'run/epoch_2.pth')
    model = dict(backbone=dict(mem_stride=2))
    metrics, scores = {}, {}
    for batch_size in (1, 2, 5):
        cfg = config(tmp_path / str(batch_size),
                     test=loader(videos, train=False, batch_size=batch_size),
                     load_from=checkpoint, model=model)
        runner = make_runner(cfg)
        metrics[batch_size] = runner.test()
        scores[batch_size] = runner.recorder.scores

    cfg = config(
        tmp_path / 'two', test=loader(videos, train=False), model=model)
    metrics['two'], dumped = on_two_processes(tmp_path, cfg, checkpoint)
    scores['two'] = {k: x['pred_score'] for k, x in dumped.items()}

    keys = [(f'v{i}.mp4', t) for i, n in enumerate(NUM_CLIPS)
            for t in range(n)]
    for name in metrics:
        assert metrics[name] == metrics[1]
        assert sorted(scores[name]) == keys
        for key in keys:
            torch.testing.assert_close(
                scores[name][key], scores[1][key], atol=1e-5, rtol=0)
    # Equal for a reason: scores tell clips and videos apart.
    assert set(metrics[1]) == {'acc/top1', 'acc/top5', 'acc/mean1'}
    assert len({tuple(x.tolist()) for x in scores[1].values()}) == len(keys)
