# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Tests on EPIC-KITCHENS-100's form, from video files to dumped scores."""
import copy

import numpy as np
import pytest
import torch
from helpers.epic import MODEL, SIZES, build_model, write_official
from helpers.runs import config, fork_two, make_runner
from helpers.videos import write_video

from mmaction_memvit.evaluation.submissions.epic_dump import read_epic_dump

# Frames at 30 a second: 12, 9, 5 and 4 clips of 12, the last ones padded.
VIDEOS = dict(P01_01=140, P01_02=100, P02_01=60, P02_02=47)
META_KEYS = ('video_id', 'timestamp', 'token_times', 'narration_id')
LOAD = [dict(type='LoadVideoClip'),
        dict(type='Resize', scale=(32, 32), keep_ratio=False),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs', meta_keys=META_KEYS)]
ONLINE = dict(
    type='OnlineEpicDataset', clip_len=4, frame_interval=3, pipeline=LOAD)
FORMS = {'recognition': dict(ONLINE, task='recognition'),
         'anticipation': dict(ONLINE, task='anticipation', tau_a=0.5),
         'trimmed': dict(type='EpicDataset',
                         pipeline=[dict(type='SampleFrames', clip_len=4,
                                        frame_interval=3, num_clips=2,
                                        test_mode=True),
                                   *LOAD])}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Videos, a list of overlapping segments, and weights."""
    folder = tmp_path_factory.mktemp('epic')
    rows = []
    for i, (name, num_frames) in enumerate(VIDEOS.items()):
        write_video(folder / f'{name}.mp4', num_frames, first=1000 * i)
        rows += [(f'{name}_{k}', start, start + 0.5, (i + k) % 4, k % 5)
                 for k, start in enumerate(
                     np.arange(0.2, num_frames / 30, 0.4).round(2).tolist())]
    write_official(folder / 'val.csv', rows)
    torch.save(build_model().state_dict(), folder / 'model.pth')
    return folder


def make_config(data, work_dir, form, batch_size):
    anticipates = form == 'anticipation'
    metric = dict(
        type='EpicAnticipationMetric',
        tau_a=0.5) if anticipates else dict(type='EpicRecognitionMetric')
    options = dict(ann_file=str(data / 'val.csv'), num_verbs=SIZES['verb'],
                   num_nouns=SIZES['noun'])
    online = form != 'trimmed'
    loader = dict(batch_size=batch_size, num_workers=0,
                  sampler=dict(type='DefaultSampler', shuffle=False),
                  dataset=dict(FORMS[form], data_prefix=dict(video=str(data)),
                               test_mode=True, **options))
    if online:
        loader['batch_sampler'] = dict(type='StreamBatchSampler')
    else:
        loader['sampler']['round_up'] = False
    model = copy.deepcopy(MODEL)
    model['cls_head']['_delete_'] = True
    if not online:
        # Segments are no streams.
        model['type'] = 'Recognizer3D'
        model['backbone']['mem_len'] = 0
    dump = str(work_dir / 'scores.npz')
    return config(work_dir, test=loader, model=model,
                  custom_hooks=[dict(type='MemoryBankHook')] if online else [],
                  load_from=str(data / 'model.pth'),
                  test_evaluator=dict(metric, online=online, dump_file=dump,
                                      _delete_=True, **options)), dump


@pytest.mark.parametrize('form', FORMS)
def test_scores_whatever_the_batch_and_the_processes(data, tmp_path, form):
    dumps = {}
    for batch_size in (1, 3):
        cfg, dump = make_config(data, tmp_path / str(batch_size), form,
                                batch_size)
        measures = make_runner(cfg).test()
        assert 0 < measures['epic/noun_recall5' if form == 'anticipation' else
                            'epic/verb_top1'] <= 1
        dumps[batch_size] = read_epic_dump(dump)
    if form != 'anticipation':
        cfg, dump = make_config(data, tmp_path / 'two', form, 2)
        fork_two('test', tmp_path, cfg, str(data / 'model.pth'))
        dumps['two'] = read_epic_dump(dump)
    names, scores = dumps[1]
    for others, other in dumps.values():
        assert others == names
        for task in SIZES:
            np.testing.assert_allclose(
                other[task], scores[task], atol=2e-5, rtol=0)
    # Equal for a reason: segments have scores of their own.
    rows = scores['noun'][np.isfinite(scores['noun']).all(1)]
    assert len(np.unique(rows.round(4), axis=0)) == len(rows)
