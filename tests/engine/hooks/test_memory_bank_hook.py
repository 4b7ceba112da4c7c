# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
import re

import pytest
from helpers.runs import (
    config,
    iteration_based,
    made_up_loader,
    make_runner,
    read_log,
    train,
)
from mmengine.hooks import Hook

LENGTHS = [6, 5, 4, 3, 2]


def loaders(**kwargs):
    return dict(train=made_up_loader(LENGTHS, train=True),
                val=made_up_loader(LENGTHS, train=False), **kwargs)


def told(runner, mode: str = r'\w+'):
    """What the log says of streams: (clips that continued, all clips)."""
    return [(int(a), int(b)) for a, b in re.findall(
        rf'{mode} memory: (\d+) of (\d+) clips', read_log(runner))]


def count_continued(clips):
    """How many clips follow one of their video, by an oracle."""
    last, count = {}, 0
    for video, position in (clip for step in clips for clip in step):
        count += last.get(video) == position - 1
        last[video] = position
    return count


class Spy(Hook):
    """Keeps what the banks hold at the borders, and which evaluation fills."""

    priority = 'NORMAL'  # After MemoryBankHook.

    def __init__(self):
        self.seen, self.filled = [], set()

    def _look(self, runner, moment):
        banks = runner.model.banks
        self.seen.append((moment, runner.model.eval_mode) + tuple(
            (len(banks[mode]), banks[mode].num_clips)
            for mode in ('train', 'val', 'test')))

    def _before_epoch(self, runner, mode='train'):
        self._look(runner, f'before_{mode}')

    def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None,
                    mode='train'):
        self.filled |= {m for m in ('val', 'test', 'predict')
                        if len(runner.model.banks[m])}

    def _after_epoch(self, runner, mode='train'):
        if mode != 'train':
            self._look(runner, f'after_{mode}')


def test_banks_are_cleared_at_every_border(tmp_path):
    cfg = config(tmp_path,
                 **loaders(test=made_up_loader(LENGTHS, train=False)),
                 epochs=2)
    spy = Spy()
    runner = make_runner(cfg, [spy])
    runner.train()
    assert spy.filled == {'val'}
    # A bank of batches of 2 remembers 4 videos; 22 clips are trained on, as
    # the lane with 9 clips starts its first video again.
    empty, trained = (0, 0), (4, 22)
    assert spy.seen == [
        ('before_train', 'predict', empty, empty, empty),
        ('before_val', 'val', trained, empty, empty),
        ('after_val', 'predict', trained, empty, empty),
    ] * 2
    spy.seen.clear()
    spy.filled.clear()
    runner.test()
    assert spy.filled == {'test'}
    assert spy.seen == [('before_test', 'test', trained, empty, empty),
                        ('after_test', 'predict', trained, empty, empty)]


def test_what_an_interrupted_test_left_is_forgotten(tmp_path):

    class Interrupt(Hook):

        def after_test_iter(self, runner, batch_idx, *args, **kwargs):
            if batch_idx == 4:
                raise KeyboardInterrupt

    loader = made_up_loader(LENGTHS, train=False)
    hook = Interrupt()
    runner = make_runner(config(tmp_path, test=loader), [hook])
    with pytest.raises(KeyboardInterrupt):
        runner.test()
    runner._hooks.remove(hook)
    # MMEngine's metrics keep what they have.
    runner.test_evaluator.metrics[0].results.clear()
    runner.test()
    assert told(runner) == [(15, 20)]


def test_streams_do_not_run_on_into_the_next_epoch(tmp_path):
    # An epoch shows two clips of each video, the next epoch the next two:
    # these follow in the video, but weights and augmentation have changed.
    loader = made_up_loader([4, 4], train=True)
    loader['batch_sampler']['max_stream_len'] = 2
    runner = train(config(tmp_path, loader, epochs=4))
    positions = [
        sorted(p for video, p in sum(runner.recorder.clips[i:i + 2], [])
               if video == 'v0') for i in range(0, 8, 2)]
    assert [0, 1] in positions and [2, 3] in positions
    assert told(runner, 'train') == [(2, 4)] * 4


def test_the_log_says_what_starts_and_how_it_went(tmp_path):
    loader = made_up_loader(LENGTHS, train=True)
    loader['batch_sampler']['unroll'] = 2
    val = made_up_loader(LENGTHS, train=False)
    runner = train(config(tmp_path, loader, val=val, epochs=2,
                          **{'default_hooks.logger.interval': 1}))
    log = read_log(runner)
    start, = re.findall(
        r'This run, train:\n  data +train: (\d+) clips of (\d+) videos.*?'
        r'(\d+\.\d)% .*\n  lanes +(\d+) on 1 process, (\d+) clips of each .*'
        r'; (\d+) steps an epoch, (\d+) epochs\n  memory +.* reaches (\d+) ',
        log)
    backbone = runner.model.backbone
    assert start == ('20', '5', '75.0', '2', '2', '6', '2',
                     str(backbone.temporal_support))
    # Before the first step, once, and a time for each epoch.
    assert log.count('This run') == 1
    assert log.index('This run') < log.index('train memory')
    assert len(re.findall(
        r'(train|val) memory: .*; \d+\.\d (s|min), [\d.]+ clips a second',
        log)) == 4
    # What TensorBoard would show.
    scalars = [json.loads(x) for x in next(
        tmp_path.rglob('scalars.json')).read_text().splitlines()]
    steps = [x for x in scalars if 'loss' in x]
    assert all(0 <= x['continued'] < 1 and x['time'] > 0 for x in steps)
    epochs = [x['continued'] for x in scalars if 'loss' not in x]
    assert epochs == [15 / 20] * 2


def test_the_log_tells_how_many_clips_continued(tmp_path):
    runner = train(config(tmp_path, epochs=2, **loaders()))
    clips, half = runner.recorder.clips, len(runner.recorder.clips) // 2
    assert told(runner, 'train') == [(count_continued(clips[:half]), 22),
                                     (count_continued(clips[half:]), 22)]
    # 20 clips of 5 videos.
    assert told(runner, 'val') == [(15, 20)] * 2


@pytest.mark.parametrize('check_after,steps', [(7, 6), (1000, 15)])
def test_a_sampler_that_tears_streams_is_named(tmp_path, check_after, steps):
    cfg = config(
        tmp_path, made_up_loader([3] * 10, train=True, streams=False),
        # The preflight would tell already.
        preflight='warn',
        custom_hooks=[dict(type='MemoryBankHook', check_after=check_after)])
    runner = make_runner(cfg)
    with pytest.raises(
            RuntimeError,
            match='train.* BatchSampler .*StreamBatchSampler.*max_gap'):
        runner.train()
    # The recorder comes after the hook.
    assert len(runner.recorder.losses) == steps


def test_steps_that_are_too_wide_are_named(tmp_path):
    # As with a data set whose positions are seconds, two apart.
    class Wide(Hook):
        priority = 'VERY_HIGH'

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            for sample in data_batch['data_samples']:
                sample.set_metainfo(dict(timestamp=2 * sample.timestamp))

    loader = made_up_loader(LENGTHS, train=True)
    runner = make_runner(config(tmp_path / 'a', loader), [Wide()])
    with pytest.raises(RuntimeError, match=r'^0 of \d+ .*max_gap \(now 1\)'):
        runner.train()
    cfg = config(tmp_path / 'b', loader, **{'model.max_gap': 2})
    runner = make_runner(cfg, [Wide()])
    runner.train()
    assert told(runner, 'train') == [(16, 22)]


@pytest.mark.parametrize('streams', [True, False])
def test_videos_of_one_clip_are_no_error(tmp_path, streams):
    lengths = [1] * 12
    runner = train(
        config(tmp_path, made_up_loader(lengths, train=True, streams=streams),
               made_up_loader(lengths, train=False, streams=streams),
               preflight='warn',
               custom_hooks=[dict(type='MemoryBankHook', check_after=3)]))
    assert told(runner) == [(0, 12), (0, 12)]


def test_lanes_that_were_not_finite_are_told(tmp_path):

    class Break(Hook):

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            runner.model.data_preprocessor.std.fill_(
                float('nan') if batch_idx == 3 else 64.)

        def after_train_iter(self, runner, *args, **kwargs):
            # The weights are not what this is about.
            for param in runner.model.parameters():
                param.data.nan_to_num_()

    runner = train(config(tmp_path, loaders()['train']), [Break()])
    assert '2 lanes were not finite and started anew' in read_log(runner)


@pytest.mark.parametrize('changes', [
    {'model.backbone.mem_len': 0},
    {'model.type': 'Recognizer3D', 'model.backbone.mem_len': 0}])
def test_a_model_that_remembers_nothing(tmp_path, changes):
    # Recognizers of MMAction2 need no identities, and no order.
    cfg = config(tmp_path, made_up_loader(LENGTHS, train=True, streams=False),
                 made_up_loader(LENGTHS, train=False, streams=False),
                 made_up_loader(LENGTHS, train=False, streams=False),
                 custom_hooks=[dict(type='MemoryBankHook', check_after=2)],
                 **changes)
    runner = make_runner(cfg)
    runner.train()
    runner.test()
    assert len(runner.recorder.losses) == 10
    assert told(runner) == []


def test_iteration_based_training(tmp_path, monkeypatch):
    # MMEngine waits two seconds whenever the loader starts anew.
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda _: None)
    # An epoch of the loader has 11 steps.
    cfg = iteration_based(
        config(tmp_path / 'a', **loaders()), max_iters=14, val_interval=5)
    runner = train(cfg)
    assert told(runner, 'train') == [(count_continued(runner.recorder.clips),
                                      28)]
    assert told(runner, 'val') == [(15, 20)] * 3
    cfg = config(tmp_path / 'b',
                 made_up_loader([3] * 10, train=True, streams=False),
                 preflight='warn',
                 custom_hooks=[dict(type='MemoryBankHook', check_after=9)])
    runner = make_runner(iteration_based(cfg, max_iters=14))
    with pytest.raises(RuntimeError, match='StreamBatchSampler'):
        runner.train()
    assert runner.iter == 8
