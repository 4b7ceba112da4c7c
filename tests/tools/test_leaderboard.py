# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
import re
import runpy
from pathlib import Path

import mmaction
import numpy as np
import pytest
import torch
import yaml
from generated.longcue import LongCueSpec
from generated.make_longcue import make_longcue
from helpers.shell import popen
from helpers.tools import tool_fixture
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope

from mmaction_memvit.apis import theoretical_support

ROOT = Path(__file__).resolve().parents[2]
BOARDS = sorted((ROOT / 'boards').glob('*.yml'))
LONGCUE = ROOT / 'boards/longcue'
M0 = ROOT / 'configs/recognition/memvit/memvit-tiny-m0_longcue-rgb.py'
KITCHEN = (ROOT / 'configs/recognition/epic100'
           / 'memvit-tiny-m8_epic-generated-rgb.py')

tool = tool_fixture('tools/analysis_tools/leaderboard.py')


@pytest.fixture()
def parts(tool, monkeypatch):
    """What the tool consists of."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools/analysis_tools'))
    from benchmarking import board, board_report, board_rows, costs, subjects
    return dict(board=board, report=board_report, rows=board_rows,
                costs=costs, subjects=subjects)


@pytest.fixture()
def run(tool, tmp_path, monkeypatch, capsys):
    """A function from a board to exit code, results and output."""
    monkeypatch.chdir(tmp_path)
    # The tool silences its whole process, which is ours.
    monkeypatch.setattr('logging.disable', lambda level: None)
    torch.set_num_threads(1)

    def call(board, *arguments):
        Path('my.yml').write_text(
            board if isinstance(board, str) else yaml.safe_dump(board))
        monkeypatch.setattr('sys.argv', ['tool', 'my.yml', *arguments])
        code = 0
        try:
            tool.main()
        except SystemExit as e:
            code = e.code
        if isinstance(code, str):
            return code
        found = json.loads(Path('work_dirs/boards/my/board.json').read_text())
        rows = {x['name']: x for x in found['rows']}
        return code, rows, capsys.readouterr().out

    return call


def test_a_board_end_to_end(run, monkeypatch):
    pytest.importorskip('matplotlib')
    monkeypatch.setattr('subprocess.Popen', popen)
    make_longcue(
        'data/longcue', LongCueSpec(max_delay=2, clips_per_video=6, size=32),
        dict(train=4, val=4))
    mine = dict(name='mine', config=str(M0), train=True,
                options={'model.backbone.mem_len': 1})
    board = dict(
        data='data/longcue/longcue_meta.json', fps=4, size=32, batch_size=2,
        rounds=1, threads=1, options={
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'val_dataloader.batch_size': 2,
            'train_dataloader.batch_size': 2, 'train_cfg.max_epochs': 1,
            'train_cfg.val_begin': 1,
            'default_hooks.checkpoint.interval': 1},
        rows=[
            mine, dict(name='lost', config='no.py'),
            dict(name='other', config=str(M0), checkpoint='slow.pth',
                 options={'model.cls_head.num_classes': 5}),
            dict(name='window', config=str(LONGCUE / 'slowonly.py'),
                 seconds=9)])
    # Weights of another head.
    code, rows, text = run(dict(board, rows=[mine]))
    assert code == 0 and 0 <= rows['mine']['accuracy'] <= 1
    Path('slow.pth').write_bytes(Path(rows['mine']['checkpoint']).read_bytes())
    code, rows, text = run(board)
    assert code == 1
    assert 'no.py' in rows['lost']['error']
    assert 'slow.pth' in rows['other']['error']
    assert 'cls_head' in rows['other']['error']
    assert 'Remedy' in rows['other']['error']
    assert 'lost failed' in text and '| mine ' in text
    # Four layers with the memory of one clip, each of one second.
    assert rows['mine']['context'] == 5
    assert 1 <= rows['mine']['used_context'] <= 5
    assert rows['mine']['gmacs_video'] == pytest.approx(
        6 * rows['mine']['gmacs_clip'])
    assert rows['window']['context'] == 9
    assert rows['window'].get('accuracy') is None
    for row in (rows['mine'], rows['window']):
        assert row['train_peak_mib'] > row['peak_mib'] > 4e6 * row[
            'params_m'] / 2**20
        assert row['seconds_clip'] > 0 < row['train_clips_per_second']
    assert rows['mine']['ratio'] == 1
    # What is known is not done again.
    monkeypatch.setattr('subprocess.Popen', None)
    again = run(board)[1]
    assert again['mine'] == rows['mine']
    assert again['window'] == rows['window']


def test_a_row_that_cannot_be_timed_leaves_the_others(run, parts,
                                                      monkeypatch):
    """Models have a verb head and a noun head, their scores are a dict."""
    forward = parts['subjects'].ConfigSubject.forward
    calls = []

    def fail_in_time(self, state, train):
        if self.model.backbone.mem_len == 0:
            calls.append(train)
            if len(calls) == 5:  # Three to warm up, one before the rounds.
                raise RuntimeError('no such luck')
        return forward(self, state, train)

    monkeypatch.setattr(
        parts['subjects'].ConfigSubject, 'forward', fail_in_time)
    code, rows, text = run(dict(
        size=32, batch_size=2, rounds=1, threads=1,
        rows=[dict(name=f'M = {m}', config=str(KITCHEN), options={
            'model.backbone.mem_len': m}) for m in (2, 0)]), '--no-train')
    assert code == 1 and rows['M = 2']['error'] is None
    assert rows['M = 2']['train_clips_per_second'] > 0
    assert 'no such luck' in rows['M = 0']['error']
    assert rows['M = 0']['gmacs_clip'] > 0
    assert 'M = 0 failed' in Path('work_dirs/boards/my/board.md').read_text()


@pytest.mark.parametrize('change, told', [
    (dict(fpss=4), ['fpss', 'fps']),
    (dict(fps=0), ['fps', '0']),
    (dict(rows=[]), ['rows']),
    (dict(rows=[dict(name='a')]), ["'a'", 'config']),
    (dict(rows=[dict(name='a', config='b.py', chekpoint='c')]),
     ["'a'", 'chekpoint', "'checkpoint'"]),
    (dict(rows=[dict(name='a', config='b.py', train='yes')]),
     ["'a'", 'train', 'yes']),
    (dict(rows=[dict(name='a', config='b.py', load_from='c')]),
     ["'a'", "'c'", 'load_from']),
    (dict(rows=2 * [dict(name='a', config='b.py')]), ["'a'", 'name']),
])
def test_wrong_boards_are_told_in_a_line(run, change, told):
    board = dict(rows=[dict(name='a', config=str(M0))])
    said = run({**board, **change})
    assert all(x in said for x in [*told, 'my.yml', 'Remedy'])
    assert '\n' not in said


def test_wrong_rows_and_files_are_told_in_a_line(run, tool, monkeypatch):
    assert "'TSN'" in run((LONGCUE.parent / 'longcue.yml').read_text(),
                          '--rows', 'TNS')
    assert 'my.yml' in run('rows: [')
    monkeypatch.setattr('sys.argv', ['tool', 'no.yml'])
    with pytest.raises(SystemExit, match='no.yml.*Remedy'):
        tool.main()


@pytest.mark.parametrize('name, shape', [
    ('slowonly', (1, 3, 9, 32, 32)), ('mvit', (1, 3, 9, 32, 32)),
    ('tsm', (9, 3, 32, 32))])
def test_costs_are_those_of_mmaction2s_own_tool(parts, name, shape,
                                                monkeypatch, capsys):
    config = str(LONGCUE / f'{name}.py')
    subject = parts['subjects'].ConfigSubject(config, 'eager', 32)
    params = sum(p.numel() for p in subject.model.parameters())
    found = subject.giga_macs()

    # What it counts before it rounds.
    import mmengine.analysis
    count, told = mmengine.analysis.get_model_complexity_info, {}
    monkeypatch.setattr(mmengine.analysis, 'get_model_complexity_info',
                        lambda *args: told.update(count(*args)) or told)
    script, = Path(mmaction.__file__).parent.rglob('get_flops.py')
    monkeypatch.setattr('sys.argv', ['tool', config, '--shape',
                                     *map(str, shape)])
    runpy.run_path(str(script), run_name='__main__')
    assert f'Flops: {told["flops_str"]}' in capsys.readouterr().out
    assert params == told['params']
    # Without the head: a layer on each frame or clip.
    head = subject.model.cls_head
    own = shape[0] * head.in_channels * head.num_classes
    assert found == pytest.approx((told['flops'] + own) / 1e9, rel=0.005)
    assert found > 1e-3


@pytest.mark.parametrize('path', BOARDS, ids=lambda x: x.stem)
def test_boards_can_be_run(parts, path):
    """Their configs are there, and say what the models sample."""
    init_default_scope('mmaction')
    board = parts['board'].read_board(str(path))
    for row in board.rows:
        cfg = parts['board'].load_config(board, row, str(path.parent))
        if 'roi_head' in cfg.model:
            pytest.importorskip('mmdet')
        scope = cfg.model.get('_scope_', 'mmaction')
        assert MODELS.get(f'{scope}.{cfg.model.type}')
        seen = parts['rows'].sampling_of(
            cfg, cfg.model.type.endswith('Recognizer2D'), board.fps,
            row.seconds or board.seconds)
        assert seen.seconds > 0 and seen.views >= 1, row.name
        assert not row.published or row.source


@pytest.mark.parametrize('path', sorted(
    x for x in LONGCUE.glob('*.py') if x.stem not in ('windows', 'frames')),
    ids=lambda x: x.stem)
def test_models_of_longcue_learn(parts, path):
    """Each passes a step, whose gradient says something."""
    subject = parts['subjects'].ConfigSubject(str(path), 'eager', 32)
    subject.model.init_weights()
    subject.model.train()
    subject.forward(subject.make(4, torch.device('cpu')), True).backward()
    grads = [p.grad for p in subject.model.parameters() if p.grad is not None]
    assert all(torch.isfinite(x).all() for x in grads)
    assert any(x.abs().max() > 1e-6 for x in grads)


@pytest.mark.parametrize('name, expected', [
    # 25 segments in ten crops, where training takes 3; 10 clips of 3 crops.
    ('tsn/tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb',
     (250 / 3, 10)),
    ('slowonly/slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb', (30, 64 / 30)),
    # For tests alone.
    ('x3d/x3d_m_16x5x1_facebook-kinetics400-rgb', (30, 80 / 30))])
def test_what_mmaction2s_configs_sample(parts, name, expected):
    cfg = get_config(f'mmaction::recognition/{name}.py')
    seen = parts['rows'].sampling_of(cfg, 'tsn' in name, 30., 10.)
    assert (seen.views, seen.seconds) == pytest.approx(expected)
    assert seen.whole and not seen.streams


@pytest.mark.parametrize('name, seconds, views, streams', [
    ('anticipation/avt/avt-base-p16_in21k-pre_32xb3-10x30x1-50e_epic100-'
     'anticipation-rgb', 10, 3, False),
    ('anticipation/avt/avt-base-p16-m9-u10_in21k-pre_32xb3-1x30x1-50e_'
     'epic100-anticipation-rgb', 1, 1, True),
    # Learns from clips by themselves.
    ('recognition/stream_memory/resnet3d-tiny_longcue-rgb', 4 / 30, 1, True)])
def test_what_our_configs_sample(parts, name, seconds, views, streams):
    cfg = Config.fromfile(str(ROOT / f'configs/{name}.py'))
    seen = parts['rows'].sampling_of(cfg, False, 30., None)
    assert (seen.seconds, seen.views, seen.streams, seen.whole) == (
        pytest.approx(seconds), views, streams, not streams)


@pytest.mark.parametrize('name, places, back, macs', [
    ('online_detection/framewise/linear_k400-pre_1xb16-32x1x1-25e_thumos14-'
     'feature', 32, 0, 32 * 3072 * 22),
    ('online_detection/framewise/linear_1xb16-32x1x1-25e_epic100-feature', 32,
     0, 32 * 2048 * (98 + 301)),
    # Two layers of 8 vectors, of 48 in a clip.
    ('recognition/stream_memory/stream-transformer-m8_longcue-feature', 48,
     16 / 48, None),
    ('recognition/stream_memory/long-short-memory_longcue-feature', 48,
     10 / 48, None),
    ('anticipation/avt/avt-tiny-m8-u14_epic-generated-anticipation-rgb', 1, 8,
     None),
    ('recognition/epic100/memvit-tiny-m8_epic-generated-rgb', 2, 32, None)])
def test_costs_over_features_and_places(parts, name, places, back, macs):
    """Counted on made-up clips as without any, and they can be timed."""
    cfg = Config.fromfile(str(ROOT / f'configs/{name}.py'))
    expected = macs or parts['costs'].cost_of(cfg).macs
    subject = parts['subjects'].ConfigSubject(cfg, 'eager', None)
    assert subject.giga_macs() == pytest.approx(expected / 1e9, rel=1e-6)
    assert subject.places == places
    assert theoretical_support(subject.model, subject.vectors) == back
    subject.model.train()
    state = subject.make(2, torch.device('cpu'))
    assert torch.isfinite(subject.forward(state, True))


def test_pareto(parts):
    points = [(3, 5), (1, 1), (2, 5), (2, 4), (9, 6), (10, 2)]
    assert parts['report'].pareto(points) == [1, 2, 4]


def test_published_numbers_are_columns(parts):
    rows = [dict(name='a', published={'top-1': 74.5}, source='Table 1',
                 error=None, gmacs_video=2., context=1.),
            dict(name='b', published={}, source='', error=None)]
    frame = parts['report'].table_of(rows, 'acc/top1', 8)
    assert frame['published top-1'][0] == 74.5
    text = parts['report'].markdown_of(frame, 'acc/top1', 8)
    heads, _, first, second = ([y.strip() for y in x.strip('|').split('|')]
                               for x in text.splitlines())
    assert heads[:2] == ['model', 'acc/top1'] and first[1] == ''
    assert '74.5' in first and 'Table 1' in first
    assert not re.search('74|None|nan', ' '.join(second))


def test_seconds_of_features_and_of_resampled_videos(run):
    """By the vectors that files have, and the rate that clips count at."""
    Path('list.txt').write_text('a 0\n')
    Path('f').mkdir()
    # Clips of 8 frames at 4 frames a second, of two vectors each.
    np.savez('f/a.npz', features=np.zeros((10, 2, 16), np.float16),
             times=2. * np.arange(10),
             video=json.dumps(dict(num_frames=80, fps=4.)), clip_len=8,
             frame_interval=1)
    Path('feature.py').write_text("""
model = dict(
    type='OnlineRecognizer3D', backbone=dict(type='FeatureBackbone'),
    neck=dict(type='StreamTransformer', in_channels=16, embed_dims=8,
              num_heads=2, num_layers=1, mem_len=6, per_frame=True,
              seconds=1.),
    cls_head=dict(type='FrameLevelHead', in_channels=8, num_classes=3),
    data_preprocessor=dict(type='ActionDataPreprocessor'))
test_dataloader = dict(
    batch_sampler=dict(type='StreamBatchSampler'),
    dataset=dict(
        type='OnlineVideoDataset', ann_file='list.txt', clip_len=8,
        frame_interval=1, data_prefix=dict(feature='f'), test_mode=True,
        pipeline=[dict(type='LoadFeatureClip'),
                  dict(type='PackActionInputs')]))
""")
    code, rows, text = run(dict(fps=4, rows=[
        dict(name='features', config='feature.py'),
        # The data set takes 30 frames a second of any video.
        dict(name='kitchen', config=str(KITCHEN))]), '--no-speed')
    assert code == 0, text
    assert rows['features']['context'] == pytest.approx(2 + 6)
    assert rows['kitchen']['context'] == pytest.approx(33 * 4 * 3 / 30)
    assert '2 vectors' in text and '32 x 32' in text
