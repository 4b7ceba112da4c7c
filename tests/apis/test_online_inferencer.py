# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy
import gc
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import epic
from helpers.models import SLOWONLY
from helpers.runs import (
    CLIP_LEN,
    NUM_CLIPS,
    ROOT,
    TEST_PIPELINE,
    config,
    loader,
    make_runner,
    train,
    write_videos,
)
from helpers.videos import number_image, write_video
from mmengine.fileio import load

from mmaction_memvit.apis import OnlineInferencer
from mmaction_memvit.video import PyAVReader
from mmaction_memvit.video.live import Gap

NAMES = [f'v{i}.mp4' for i in range(len(NUM_CLIPS))]


def frames_of(path) -> np.ndarray:
    reader = PyAVReader(str(path))
    return np.stack(reader.read(range(reader.num_frames)))


def scores_by_clip(cfg) -> dict:
    """Scores of testing by video and position, as tools/test.py gives."""
    runner = make_runner(cfg)
    runner.test()
    return runner.recorder.scores


def assert_scores(found, expected, video: str) -> None:
    """Predictions of a whole video are those of testing, 1e-5."""
    assert len(found) == sum(name == video for name, _ in expected)
    for step in found:
        torch.testing.assert_close(
            step.scores, expected[video, step.clip], atol=1e-5, rtol=0)


def chunks(frames: np.ndarray, seed: int) -> list:
    """Pieces of 0 to 6 frames."""
    gen = np.random.default_rng(seed)
    cuts = np.cumsum(gen.integers(0, 7, len(frames)))
    return np.split(frames, cuts[cuts < len(frames)])


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Config and weights files, frames by video, and scores of testing."""
    folder = write_videos(tmp_path_factory.mktemp('videos'))
    cfg = config(folder / 'run', loader(folder, train=True),
                 test=loader(folder, train=False, short_video='pad'))
    train(copy.deepcopy(cfg))
    weights = str(folder / 'run/epoch_1.pth')
    cfg.load_from = weights
    path = str(folder / 'config.py')
    cfg.dump(path)
    frames = {x: frames_of(folder / x) for x in NAMES}
    scores = scores_by_clip(cfg)
    assert len(scores) == sum(NUM_CLIPS)
    # They hang on the past.
    cfg.model.backbone.mem_len = 0
    cfg.work_dir = str(folder / 'none')
    cfg.experiment_name += 'none'
    assert max((scores[key] - x).abs().max()
               for key, x in scores_by_clip(cfg).items()) > 1e-2
    return path, weights, frames, scores


@pytest.fixture(scope='module')
def inferencer(trained):
    return OnlineInferencer(*trained[:2])


def test_scores_are_those_of_testing_however_frames_come(trained, inferencer):
    *_, frames, scores = trained
    pieces = dict(
        whole=lambda x: [x], one_by_one=list,
        lists=lambda x: [list(x[:5]), list(x[5:])],
        tensors=lambda x: [torch.from_numpy(x[:3]), torch.from_numpy(x[3:])],
        random=lambda x: chunks(x, 0))
    for cut in pieces.values():
        for name in ('v0.mp4', 'v3.mp4'):
            session, found = inferencer.session(fps=30.), []
            for piece in cut(frames[name]):
                found += session.push(piece)
                held = session.num_frames % CLIP_LEN
                assert sum(len(c.images) for c in session._open) == held
            found += session.finish()
            assert_scores(found, scores, name)
            assert found[-1].end == pytest.approx(len(frames[name]) / 30)
            session.reset()
            assert_scores(
                session.push(frames[name]) + session.finish(), scores, name)
    for name in ('v0.mp4', 'v3.mp4'):
        video = trained[0].replace('config.py', name)
        assert_scores(list(inferencer(video)), scores, name)
    del session
    gc.collect()
    assert not len(inferencer.bank)


def test_is_called_as_mmaction2_is(trained, inferencer, tmp_path, capsys):
    paths = [trained[0].replace('config.py', x) for x in ('v0.mp4', 'v3.mp4')]
    labels = tmp_path / 'labels.txt'
    labels.write_text('sit\nstand\nwalk\n')
    found = inferencer.infer(paths, pred_out_file=str(tmp_path / 'out.json'),
                             vid_out_dir=str(tmp_path / 'out'),
                             print_result=True, label_file=str(labels))
    assert 'predictions' in capsys.readouterr().out
    assert load(str(tmp_path / 'out.json'))['predictions'] == found[
        'predictions']
    for path, own, drawn in zip(paths, *found.values()):
        steps = list(inferencer(path))
        assert [x['clip'] for x in own] == [x.clip for x in steps]
        assert own[-1]['scores'] == pytest.approx(
            steps[-1].scores.tolist(), abs=1e-5)
        assert len(frames_of(drawn)) == len(frames_of(path))
    assert inferencer.infer(paths[0])['visualization'] == []


@pytest.mark.parametrize('num', [1, 3, 8])
def test_sessions_of_a_batch_are_as_alone(trained, inferencer, num,
                                          monkeypatch):
    *_, frames, scores = trained
    sizes = []
    step = inferencer.model.test_step
    monkeypatch.setattr(
        inferencer.model, 'test_step',
        lambda data: sizes.append(len(data['inputs'])) or step(data))
    names = [NAMES[i % len(NAMES)] for i in range(num)]
    # Names of the caller's need not differ.
    sessions = [inferencer.session(x) for x in names]
    pieces = [chunks(frames[x], seed) for seed, x in enumerate(names)]
    found = [[] for _ in names]
    for turn in range(max(map(len, pieces))):
        steps = inferencer.push(
            sessions, [x[turn] if turn < len(x) else [] for x in pieces])
        for own, new in zip(found, steps):
            own += new
    for own, new in zip(found, inferencer.finish(sessions)):
        own += new
    for name, own in zip(names, found):
        assert_scores(own, scores, name)
    assert max(sizes) > num // 2
    with pytest.raises(ValueError, match='twice'):
        inferencer.push([sessions[0]] * 2, [[], []])


GO_ON = """
import sys, torch, mmaction_memvit
from mmaction_memvit.apis import OnlineInferencer
session = OnlineInferencer(*sys.argv[1:3]).load_session('state.pth')
steps = session.push(torch.load('frames.pth')) + session.finish()
torch.save([(session.name, s.clip, s.start, s.scores) for s in steps],
           'steps.pth')
"""


def test_another_process_goes_on(trained, inferencer, tmp_path):
    *_, frames, scores = trained
    session = inferencer.session('kitchen', fps=30.)
    before = session.push(frames['v0.mp4'][:14])
    torch.save(session.state_dict(), tmp_path / 'state.pth')
    rest = torch.from_numpy(frames['v0.mp4'][14:])
    torch.save(rest, tmp_path / 'frames.pth')
    subprocess.run([sys.executable, '-c', GO_ON, *trained[:2]], cwd=tmp_path,
                   check=True, env=dict(os.environ, PYTHONPATH=str(ROOT)))
    after = torch.load(tmp_path / 'steps.pth')
    assert [x[:2] for x in after] == [('kitchen', i) for i in (3, 4, 5)]
    assert after[0][2] == pytest.approx(12 / 30)
    for _, clip, _, own in after:
        torch.testing.assert_close(
            own, scores['v0.mp4', clip], atol=1e-5, rtol=0)
    assert [x.clip for x in before] == [0, 1, 2]
    # A state that does not fit is refused.
    state = session.state_dict()
    state['plan'] = 'of another model'
    with pytest.raises(ValueError, match='another model'):
        inferencer.load_session(state)


def test_gaps_and_frames_of_other_sizes(trained, inferencer):
    *_, frames, scores = trained
    session, video = inferencer.session(), frames['v0.mp4']
    found = session.push([*video[:6], Gap(7), *video[13:]])
    # Frames 6 to 12 are missing: the clip of 8 to 11 is not made up.
    assert [x.clip for x in found] == [0, 1, 3, 4, 5]
    assert session.num_skipped == 1
    torch.testing.assert_close(found[0].scores, scores['v0.mp4', 0])
    # Later frames of a clip get the size of its first.
    odd = [number_image(i, 48, 80) for i in range(6)]
    assert len(session.push([*frames['v1.mp4'][:2], *odd])) == 2
    with pytest.raises(ValueError, match='float32'):
        session.push(np.zeros((8, 8, 3), np.float32))
    with pytest.raises(ValueError, match='fps'):
        inferencer.session(fps=0.)


def test_two_sources_of_different_rates_and_sizes(trained):
    """The model's rate decides what is sampled: 10 frames a second."""
    inferencer = OnlineInferencer(*trained[:2], sample_fps=10.)
    images = [np.full((32, 32, 3), 5 * i, np.uint8) for i in range(25)]
    slow, fast = inferencer.session(fps=10.), inferencer.session(fps=50.)
    found = inferencer.push(
        [slow, fast],
        [images[:9], [x.repeat(2, 1) for x in images[:9] for _ in range(5)]])
    for a, b in zip(*found):
        assert (a.start, a.end) == pytest.approx((b.start, b.end))
        torch.testing.assert_close(a.scores, b.scores, atol=1e-5, rtol=0)
    assert [len(x) for x in found] == [2, 2]


def test_anticipation_with_several_tasks(tmp_path):
    """Verbs and nouns by token, at a rate that is not the file's."""
    write_video(tmp_path / 'P01_01.mp4', 150, rate=50)
    epic.write_official(tmp_path / 'val.csv', [('P01_01_0', 1., 1.5, 1, 2)])
    torch.save(epic.build_model().state_dict(), tmp_path / 'model.pth')
    cfg = config(
        tmp_path / 'run',
        test=dict(
            batch_size=2, num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            batch_sampler=dict(type='StreamBatchSampler'),
            dataset=dict(
                type='OnlineEpicDataset', task='anticipation', tau_a=.5,
                clip_len=4, frame_interval=3, num_tokens=2,
                ann_file=str(tmp_path / 'val.csv'),
                data_prefix=dict(video=str(tmp_path)), test_mode=True,
                pipeline=[
                    *TEST_PIPELINE[:-1],
                    dict(
                        type='PackActionInputs',
                        meta_keys=('video_id', 'timestamp', 'token_times',
                                   'narration_id'))])),
        load_from=str(tmp_path / 'model.pth'))
    cfg.model = epic.MODEL
    cfg.test_evaluator = dict(type='DumpResults', out_file_path=str(
        tmp_path / 'all.pkl'))
    make_runner(cfg).test()
    expected = {x['timestamp']: x['pred_score']
                for x in load(str(tmp_path / 'all.pkl'))}
    inferencer = OnlineInferencer(cfg, cfg.load_from)
    frames = frames_of(tmp_path / 'P01_01.mp4')
    session = inferencer.session(fps=50.)
    found = session.push(frames) + session.finish()
    # 3 s at 30 frames a second, 12 to a clip.
    assert [x.clip for x in found] == list(range(8)) == sorted(expected)
    assert found[1].start == pytest.approx(0.4)
    for step in found:
        for task, own in step.scores.items():
            assert own.ndim == 2
            torch.testing.assert_close(
                own, expected[step.clip][task], atol=1e-5, rtol=0)


def test_a_recognizer_of_mmaction2(tmp_path):
    """Clips one after the other; nothing is remembered."""
    cfg = config(
        tmp_path,
        test=dict(
            dataset=dict(
                type='VideoDataset',
                pipeline=[
                    dict(type='DecordInit'),
                    dict(type='SampleFrames', clip_len=4, frame_interval=2,
                         num_clips=10, test_mode=True),
                    dict(type='DecordDecode'), *TEST_PIPELINE[1:]])))
    cfg.model = dict(
        type='Recognizer3D', backbone=SLOWONLY,
        data_preprocessor=cfg.model.data_preprocessor,
        cls_head=dict(type='I3DHead', in_channels=32, num_classes=3,
                      average_clips='prob'))
    torch.manual_seed(0)
    inferencer = OnlineInferencer(cfg)
    images = np.random.default_rng(0).integers(
        0, 255, (16, 32, 32, 3)).astype(np.uint8)
    session = inferencer.session()
    first, second = session.push(images)
    assert first.scores.shape == (3, )
    again, = inferencer.session().push(images[8:])
    torch.testing.assert_close(second.scores, again.scores)
    assert (second.scores - first.scores).abs().max() > 1e-6
    assert inferencer.load_session(session.state_dict()).num_frames == 16
    with pytest.raises(ValueError, match='cuda_graph.* Recognizer3D'):
        OnlineInferencer(cfg, cuda_graph=True)
