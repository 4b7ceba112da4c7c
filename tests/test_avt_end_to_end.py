# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""AVT on clips and on streams, from video files to dumped scores."""
import numpy as np
import pytest
import torch
from helpers.epic import write_official, write_text
from helpers.runs import config, make_runner
from helpers.videos import write_video
from mmaction.registry import MODELS
from mmengine.registry import init_default_scope

from mmaction_memvit.annotations.epic_lists import load_epic_actions
from mmaction_memvit.evaluation.functional.epic import marginal_scores
from mmaction_memvit.evaluation.submissions.epic_dump import read_epic_dump

# Frames, at 30 a second.
VIDEOS = dict(P01_01=150, P01_02=120, P02_01=90)
STEP, MEM_LEN = 15, 2
MODEL = dict(
    type='OnlineRecognizer3D',
    backbone=dict(type='XViT',
                  arch=dict(embed_dims=32, num_layers=2, num_heads=2),
                  patch_size=8, spatial_size=32, window=0,
                  temporal_positions=0, temporal_head='frames'),
    data_preprocessor=dict(type='ActionDataPreprocessor', mean=[127.] * 3,
                           std=[64.] * 3, format_shape='NCTHW'),
    cls_head=dict(type='AVTHead', num_classes=13, in_channels=32,
                  mem_len=MEM_LEN, dims=32, num_layers=2, max_len=8,
                  label_column=2, average_clips='score'))
LOAD = [
    dict(type='LoadVideoClip'),
    dict(type='Resize', scale=(32, 32), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs',
         meta_keys=('video_id', 'timestamp', 'token_times', 'narration_id'))
]
# The frame half a second before a segment, and two before that.
FORMS = {
    'streams': dict(type='OnlineEpicDataset', clip_len=1, frame_interval=STEP,
                    num_tokens=1, tau_a=0., pipeline=LOAD),
    'clips': dict(
        type='EpicDataset', tau_a=0.5, observed=2., pipeline=[
            dict(type='SampleObservedFrames', clip_len=MEM_LEN + 1,
                 interval_seconds=0.5), *LOAD])
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Videos, a list of segments, and weights."""
    folder = tmp_path_factory.mktemp('avt')
    rows = []
    for i, (name, num_frames) in enumerate(VIDEOS.items()):
        write_video(folder / f'{name}.mp4', num_frames, first=1000 * i)
        rows += [(f'{name}_{k}', 0.5 * k, 0.5 * k + 0.75, (i + k) % 4, k % 5)
                 for k in range(MEM_LEN + 1, num_frames // STEP)]
    write_official(folder / 'list.csv', rows)
    init_default_scope('mmaction')
    torch.manual_seed(0)
    model = MODELS.build(MODEL)
    for param in model.parameters():
        torch.nn.init.normal_(param, std=0.3)
    torch.save(model.state_dict(), folder / 'model.pth')
    return folder


def make_config(data, work_dir, form, batch_size, train=False):
    lists = dict(ann_file=str(data / 'list.csv'), num_verbs=4, num_nouns=5)
    dump = str(work_dir / 'scores.npz')

    def loader(train):
        streams = form == 'streams'
        return dict(
            batch_size=batch_size, num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=train, **(
                {} if streams else dict(round_up=train))),
            **(dict(batch_sampler=dict(
                type='StreamBatchSampler', unroll=3 if train else 1))
               if streams else {}),
            dataset=dict(FORMS[form], task='anticipation', test_mode=not train,
                         actions=str(data / 'list.csv'),
                         data_prefix=dict(video=str(data)), **lists))

    model = dict(MODEL, _delete_=True)
    if form == 'clips':
        model.update(
            type='Recognizer3D', cls_head=dict(MODEL['cls_head'], mem_len=0))
    return config(
        work_dir, train=loader(True) if train else None, test=loader(False),
        model=model, custom_hooks=[dict(type='MemoryBankHook')],
        load_from=str(data / 'model.pth'),
        test_evaluator=dict(
            _delete_=True, type='EpicAnticipationMetric',
            tau_a=FORMS[form]['tau_a'], online=form == 'streams',
            dump_file=dump, **lists)), dump


def test_a_stream_scores_as_clips_do_whatever_the_batch(data, tmp_path):
    dumps = []
    for form, batch_size in (('clips', 4), ('streams', 1), ('streams', 3)):
        cfg, dump = make_config(
            data, tmp_path / f'{form}{batch_size}', form, batch_size)
        measures = make_runner(cfg).test()
        assert 0 < measures['epic/action_recall5'] <= 1
        dumps.append(read_epic_dump(dump))
    names, scores = dumps[0]
    for others, other in dumps[1:]:
        assert others == names
        np.testing.assert_allclose(
            other['action'], scores['action'], atol=2e-5, rtol=0)
    assert len(np.unique(scores['action'].round(4), axis=0)) == len(names)
    # Verbs and nouns are sums over the probabilities of actions.
    actions = load_epic_actions(str(data / 'list.csv'))
    verbs, nouns = marginal_scores(scores['action'], actions.pairs, 4, 5)
    np.testing.assert_allclose(scores['verb'], verbs, atol=1e-6)
    np.testing.assert_allclose(scores['noun'], nouns, atol=1e-6)


def reorder_actions(data, folder):
    """A list of the same actions in another order."""
    pairs = load_epic_actions(str(data / 'list.csv')).pairs[::-1]
    return write_text(folder / 'other.csv', 'id,verb,noun', *(
        f'{i},{v},{n}' for i, (v, n) in enumerate(pairs)))


def test_other_actions_are_told_before_the_first_step(data, tmp_path):
    other = reorder_actions(data, tmp_path)
    for i, (changes, words) in enumerate((
        ({'model.cls_head.num_classes': 12}, ('12', '13')),
        ({'val_dataloader.dataset.actions': other},
         ('action 0 ', 'val_dataloader')),
        ({'val_evaluator.actions': other}, ('action 0 ', 'metric')))):
        cfg, _ = make_config(data, tmp_path / f'{i}', 'streams', 2, train=True)
        cfg.merge_from_dict(dict(
            val_dataloader=cfg.test_dataloader, val_cfg=dict(type='ValLoop'),
            val_evaluator=dict(cfg.test_evaluator, dump_file=None)))
        cfg.merge_from_dict(changes)
        runner = make_runner(cfg)
        with pytest.raises(ValueError) as error:
            runner.train()
        assert not runner.recorder.losses
        assert all(word in str(error.value) for word in words), error.value


def test_weights_know_their_actions(data, tmp_path):
    cfg, _ = make_config(data, tmp_path / 'a', 'clips', 4, train=True)
    make_runner(cfg).train()
    cfg, dump = make_config(data, tmp_path / 'b', 'clips', 4)
    cfg.load_from = str(tmp_path / 'a/epoch_1.pth')
    make_runner(cfg).test()
    assert np.isfinite(read_epic_dump(dump)[1]['action']).all()
    cfg.test_dataloader.dataset.actions = reorder_actions(data, tmp_path)
    cfg.experiment_name += 'c'
    runner = make_runner(cfg)
    with pytest.raises(ValueError, match='epoch_1.*action 0 .*list of act'):
        runner.test()
    assert not runner.recorder.scores
    # A training learns them anew.
    cfg, _ = make_config(data, tmp_path / 'd', 'clips', 4, train=True)
    cfg.train_dataloader.dataset.actions = reorder_actions(data, tmp_path)
    cfg.load_from = str(tmp_path / 'a/epoch_1.pth')
    runner = make_runner(cfg)
    runner.train()
    assert runner.recorder.losses
