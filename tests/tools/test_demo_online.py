# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
import os.path as osp
import urllib.request
import wave

import av
import cv2
import pandas as pd
import pytest
from helpers.boxes import write_detector
from helpers.cameras import Camera
from helpers.epic import write_official, write_text
from helpers.models import shrink_detector
from helpers.runs import config, loader, write_weights
from helpers.tools import tool_fixture
from helpers.videos import number_image, truncate, turned, write_video
from mmengine.hub import get_config
from mmengine.registry import DefaultScope, init_default_scope

from mmaction_memvit.annotations.proposals import write_proposals
from mmaction_memvit.visualization.live_page import LivePage

pytest.importorskip('matplotlib')
tool = tool_fixture('tools/demo_online.py')


def read_lines(path):
    return [json.loads(x) for x in path.read_text().splitlines()]


@pytest.fixture
def run(tool, tmp_path, monkeypatch, capsys):
    """The tool on a source; gives what it prints."""
    write_weights(tmp_path / 'weights.pth')
    cfg = config(tmp_path, test=loader(tmp_path, train=False))
    cfg.dump(tmp_path / 'config.py')
    (tmp_path / 'classes.txt').write_text('sit\nstand\nwalk\n')

    def call(*args):
        monkeypatch.setattr('sys.argv', [
            'tool', *map(str, args), '--config', str(tmp_path / 'config.py'),
            '--checkpoint', str(tmp_path / 'weights.pth'), '--out-dir',
            str(tmp_path / 'out'), '--classes', str(tmp_path / 'classes.txt')])
        tool.main()
        return capsys.readouterr().out

    return call


@pytest.mark.parametrize('options', [[], ['--realtime']])
def test_writes_all_outputs(run, tmp_path, options):
    path = write_video(tmp_path / 'a.mp4', 26, rate=10)
    told = run(path, '--top', 2, *options)
    out = tmp_path / 'out'
    lines = read_lines(out / 'a.jsonl')
    # 6 clips of 4 frames, and one of 2.
    assert [(x['start'], x['end']) for x in lines[::6]] == [(0, .4),
                                                            (2.4, 2.6)]
    assert len(lines) == 7 and len(lines[0]['scores']) == 3
    table = pd.read_csv(out / 'a.csv')
    assert len(table) == 14 and set(table.name) <= {'sit', 'stand', 'walk'}
    best = lines[3]['best'][0]
    assert table.name[6] == best['name'] in told
    assert table.score[6] == best['score'] == pytest.approx(
        max(lines[3]['scores']), abs=1e-4)
    with av.open(str(out / 'a.mp4')) as video:
        assert sum(1 for _ in video.decode(video=0)) == 26
    assert (out / 'a.png').stat().st_size > 1000
    assert 'real time' in told


def test_chosen_outputs(run, tmp_path):
    path = write_video(tmp_path / 'b.mp4', 26, rate=10)
    run(path, '--outputs', 'csv', '--seconds', 0.8)
    assert [x.name for x in (tmp_path / 'out').iterdir()] == ['b.csv']
    table = pd.read_csv(tmp_path / 'out/b.csv')
    assert table['clip'].tolist() == [0, 0, 0, 1, 1, 1]


def joined(tmp_path) -> str:
    """A file whose pictures change their size."""
    parts = [write_video(tmp_path / f'{i}.ts', 45, first=45 * i, width=width)
             for i, width in enumerate((64, 96))]
    path = tmp_path / 'joined.ts'
    path.write_bytes(b''.join(open(x, 'rb').read() for x in parts))
    return str(path)


def portrait(tmp_path) -> str:
    path = write_video(tmp_path / 'turned.mp4', 26, rate=10, width=96)
    turned(path, 90)
    return path


def variable(tmp_path) -> str:
    """1 s at 20 pictures a second, 2 s at 10."""
    return write_video(tmp_path / 'variable.mp4', 40, rate=20,
                       times=[*range(20), *range(20, 60, 2)])


def cut_off(tmp_path) -> str:
    whole = write_video(tmp_path / 'whole.mkv', 60, gop=4)
    return truncate(whole, tmp_path / 'cut.mkv')


@pytest.mark.parametrize('options', [[], ['--realtime']])
@pytest.mark.parametrize('make,size,seconds', [
    (joined, (256, 256), (3., 3.)),
    (portrait, (256, 384), (2.6, 2.6)),
    (variable, (256, 256), (2.9, 3.1)),
    # Of 2 s.
    (cut_off, (256, 256), (0.5, 1.5)),
])
def test_odd_sources(run, tmp_path, make, size, seconds, options):
    path = make(tmp_path)
    run(path, *options)
    out = tmp_path / 'out'
    stem = osp.splitext(osp.basename(path))[0]
    lines = read_lines(out / f'{stem}.jsonl')
    low, high = seconds
    assert low - .05 <= lines[-1]['end'] <= high + .05
    # Clip follows clip.
    for a, b in zip(lines, lines[1:]):
        assert b['start'] == pytest.approx(a['end'], abs=.11)
    with av.open(str(out / f'{stem}.mp4')) as video:
        frames = list(video.decode(video=0))
    assert (frames[0].width, frames[0].height) == size
    assert low - .1 <= frames[-1].time <= high + .1


@pytest.mark.parametrize('source,said', [
    ('sound.wav', 'sound.wav'),
    ('text.mp4', 'text.mp4'),
    ('nothing.mp4', 'nothing.mp4.*empty'),
    ('none.mp4', 'none.mp4'),
    ('videos', 'online_folder'),
    ('http://127.0.0.1:9/a.mp4', 'address'),
    ('rtsp://127.0.0.1:9/a', 'address'),
    ('77', 'camera 77'),
])
def test_sources_without_pictures(run, tool, tmp_path, monkeypatch, source,
                                  said):
    with wave.open(str(tmp_path / 'sound.wav'), 'wb') as f:
        f.setparams((1, 2, 8000, 0, 'NONE', ''))
        f.writeframes(bytes(1600))
    (tmp_path / 'text.mp4').write_text('no video')
    (tmp_path / 'nothing.mp4').touch()
    (tmp_path / 'videos').mkdir()
    (tmp_path / 'videos/a.mp4').touch()
    if '.' in source and '://' not in source or source == 'videos':
        source = tmp_path / source
        # It is told before a model is loaded.
        monkeypatch.setattr(tool, 'OnlineInferencer', None)
    with pytest.raises(SystemExit, match=said):
        run(source)
    # Nothing is written of nothing.
    assert not list((tmp_path / 'out').glob('*'))


def test_a_camera_that_stops(run, tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, 'VideoCapture', Camera)
    told = run('0')
    assert 'no more pictures' in told and '20 frames' in told
    lines = read_lines(tmp_path / 'out/0.jsonl')
    # 20 pictures of 20 ms and more, 4 to a clip, at a rate that is measured.
    assert len(lines) >= 4 and [x['clip'] for x in lines] == [*range(
        len(lines))]


def test_what_is_there_is_written_when_a_source_fails(run, tmp_path):
    folder = tmp_path / 'frames'
    folder.mkdir()
    # The rate is measured on the first 16.
    for i in range(30):
        cv2.imwrite(str(folder / f'{i:03d}.png'), number_image(i))
    (folder / '025.png').write_text('no picture')
    with pytest.raises(SystemExit, match='025.png'):
        run(folder)
    assert len(read_lines(tmp_path / 'out/frames.jsonl')) == 6
    with av.open(str(tmp_path / 'out/frames.mp4')) as video:
        assert sum(1 for _ in video.decode(video=0)) == 25


def test_attention(run, tmp_path):
    path = write_video(tmp_path / 'a.mp4', 26, rate=10)
    run(path, '--outputs', 'jsonl', 'attention')
    lines = read_lines(tmp_path / 'out/a.jsonl')
    assert [[x for x, _ in line['attention']] for line in lines[:3]] == [
        [0], [0, .4], [0, .4, .8]]
    assert sum(x for _, x in lines[5]['attention']) == pytest.approx(1)
    assert (tmp_path / 'out/a_attention.png').stat().st_size > 1000
    plain = '--cfg-options', 'model.backbone.mem_len=0', \
        'any_checkpoint_fits=True'
    with pytest.raises(SystemExit, match='mem_len'):
        run(path, '--outputs', 'attention', *plain)
    # Models without memory show the rest.
    run(path, *plain)
    assert len(read_lines(tmp_path / 'out/a.jsonl')) == 7


@pytest.mark.parametrize('mem_len', [2, 0])
def test_page(run, tmp_path, monkeypatch, mem_len):
    close, states = LivePage.close, []

    def look(page):
        with urllib.request.urlopen(page.url + 'state?after=-1') as answer:
            states.append(json.load(answer))
        assert page.jpeg('picture')
        close(page)

    monkeypatch.setattr(LivePage, 'close', look)
    path = write_video(tmp_path / 'a.mp4', 26, rate=20)
    told = run(path, '--serve', '--address', '127.0.0.1:0', '--cfg-options',
               f'model.backbone.mem_len={mem_len}', 'any_checkpoint_fits=True')
    assert 'http://127.0.0.1:' in told
    state, = states
    assert state['source'] == path and len(state['steps']) == 7
    assert 'real time' in state['told']
    assert bool(state['attention']) == bool(mem_len)
    with pytest.raises(SystemExit, match='address'):
        run(path, '--serve', '--address', 'here')


@pytest.mark.parametrize('lists', ['actions.csv', ['train.csv', 'val.csv']])
def test_actions_are_named_by_verb_and_noun(tool, tmp_path, lists):
    write_text(tmp_path / 'verb.csv', 'id,key,instances', '0,take,"[take]"',
               '1,wash,"[wash]"')
    write_text(tmp_path / 'noun.csv', 'id,key', '0,plate', '1,cup', '2,pan')
    write_text(tmp_path / 'actions.csv', 'id,verb,noun', '0,0,1', '1,1,2')
    write_official(tmp_path / 'train.csv', [('P01_01_0', 0, 1, 1, 2)])
    write_official(tmp_path / 'val.csv', [('P01_02_0', 0, 1, 0, 1)])
    names = tool.read_names(
        [f'{x}={tmp_path}/{x}.csv' for x in ('verb', 'noun')],
        dict(actions=lists, data_root=str(tmp_path)))
    assert names[''] == names['action'] == {0: 'take cup', 1: 'wash pan'}
    assert names['verb'] == {0: 'take', 1: 'wash'}


def test_persons_of_a_raw_video(tool, tmp_path, monkeypatch, capsys):
    pytest.importorskip('mmdet')
    init_default_scope('mmaction')
    with DefaultScope.overwrite_default_scope('mmdet'):
        persons = shrink_detector(
            get_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'))
    # With random weights persons are everywhere.
    persons.model.bbox_head.num_classes = 1
    persons.dump(tmp_path / 'persons.py')
    cfg, weights = write_detector(tmp_path, tmp_path)
    path = write_video(tmp_path / 'a.mp4', 35, rate=10)
    monkeypatch.setattr('sys.argv', [
        'tool', path, '--config', cfg, '--checkpoint', weights,
        '--person-config', str(tmp_path / 'persons.py'), '--person-score', '0',
        '--out-dir', str(tmp_path / 'out')])
    tool.main()
    lines = read_lines(tmp_path / 'out/a.jsonl')
    # Keyframes at 1, 2 and 3 s.
    assert [len(x['boxes']) for x in lines] == [20] * 3
    table = pd.read_csv(tmp_path / 'out/a.csv')
    assert len(table) == 3 * 20 * 3 and table.x2.between(0, 1).all()
    # Nothing moves, so that most keep their numbers.
    assert table.person.nunique() < 45
    with av.open(str(tmp_path / 'out/a.mp4')) as video:
        assert sum(1 for _ in video.decode(video=0)) == 35


@pytest.mark.parametrize('options', [[], ['--realtime']])
def test_a_detector_without_boxes(tool, tmp_path, monkeypatch, options):
    cfg, weights = write_detector(tmp_path, tmp_path)
    path = write_video(tmp_path / 'a.mp4', 15, rate=10)
    (tmp_path / 'boxes.csv').write_text('video,time,x1,y1,x2,y2\n')
    write_proposals(tmp_path / 'others.pkl', {('b', 1): [[0, 0, 1, 1, 1]]})

    def fails(*args):
        monkeypatch.setattr('sys.argv', [
            'tool', path, '--config', cfg, '--checkpoint', weights,
            '--out-dir', str(tmp_path / 'out'), *options, *args])
        with pytest.raises(SystemExit) as told:
            tool.main()
        # Nothing was written before.
        assert not list((tmp_path / 'out').glob('*'))
        return str(told.value)

    told = fails()
    assert '--boxes' in told and '--person-config' in told
    told = fails('--boxes', str(tmp_path / 'boxes.csv'))
    assert 'convert_person_boxes' in told and 'proposal_file' not in told
    assert "'a'" in fails('--boxes', str(tmp_path / 'others.pkl'))
