# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.tools import tool_fixture
from helpers.videos import write_video

tool = tool_fixture('tools/data/ava/make_ava_style.py')
steps = tool_fixture('tools/data/ava/box_table.py')
# Name: frames, frames per second.
VIDEOS = {
    'a/walk (1)!.mp4': (60, 10),
    'b.avi': (150, 60),
    'same.mp4': (30, 30),
    'same.mkv': (30, 30),
    'x.y.mp4': (75, 30),
}


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    """Videos of 128 x 64 pixels."""
    folder = tmp_path_factory.mktemp('videos')
    for name, (num, rate) in VIDEOS.items():
        codec = 'mpeg4' if name.endswith('.avi') else 'libx264'
        write_video(folder / name, num, codec, rate, width=128, b_frames=0)
    return folder


HEAD = 'video,frame,x1,y1,x2,y2,label,split'


def write(folder, *lines, head=HEAD, name='table.csv'):
    path = folder / name
    path.write_text('\n'.join([head, *lines]) + '\n')
    return path


def make(tool, table, videos, *args):
    out = table.parent / 'out'
    tool.main([str(table), '--video-root', str(videos), '--out', str(out),
               *args])
    found = {'index': json.loads((out / 'index.json').read_text())}
    for split in ('train', 'val'):
        found[split] = (out / f'{split}.csv').read_text().split('\n')[:-1]
        with open(out / f'proposals_{split}.pkl', 'rb') as f:
            found[f'proposals_{split}'] = pickle.load(f)
    found['labels'] = (out / 'label_map.pbtxt').read_text()
    return found


# One box that can be used on either side.
TRAIN = 'b,0,32,16,64,32,stand,train'
VAL = 'x.y,30,32,16,64,32,stand,val'


def test_set(tool, videos, tmp_path, capsys):
    table = write(
        tmp_path,
        # Keyframes of 10 frames a second: 0, 10, ...
        'a/walk (1)!,20,0,0,64,32,sit;talk,train,P7,0.5',
        './a/walk (1)!.mp4,20,64,32,128,64,,train,P3,0.95',
        'a/walk (1)!,21,0,0,64,32,sit,train,P7,1',
        'b.avi,120,32,16,64,32,talk,train,,',
        'x.y.mp4,30,32,16,64,32,sit,val,4,',
        'x.y.mp4,30,32,16,64,32,sit,val,4,',
        'same.mp4,0,0,0,128,64,talk,val,4,', '', head=HEAD + ',person,score')
    other = {'other.mp4': dict(num_frames=7, fps=25.)}
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/index.json').write_text(json.dumps(other))
    found = make(tool, table, videos)
    # An index may be that of another list, too.
    assert found['index'].pop('other.mp4') == other['other.mp4']
    # Persons by order of mention, or their own numbers.
    assert found['train'] == [
        'a/walk (1)!,2,0.000000,0.000000,0.500000,0.500000,1,0',
        'a/walk (1)!,2,0.000000,0.000000,0.500000,0.500000,2,0',
        'b,2,0.250000,0.250000,0.500000,0.500000,2,-1']
    # same.mkv is there, too.
    assert found['val'] == [
        'same.mp4,0,0.000000,0.000000,1.000000,1.000000,2,4',
        'x.y,1,0.250000,0.250000,0.500000,0.500000,1,4']
    assert set(found['proposals_train']) == {'a/walk (1)!,0002', 'b,0002'}
    boxes = found['proposals_train']['a/walk (1)!,0002']
    assert boxes.dtype == np.float32
    np.testing.assert_allclose(
        boxes, [[.5, .5, 1, 1, .95], [0, 0, .5, .5, .5]])
    assert found['proposals_val']['x.y,0001'].tolist() == [
        [.25, .25, .5, .5, 1]]
    assert {k: (v['num_frames'], v['fps'])
            for k, v in found['index'].items()} == {
        'a/walk (1)!.mp4': (60, 10), 'b.avi': (150, 60),
        'same.mp4': (30, 30), 'x.y.mp4': (75, 30)}
    said = capsys.readouterr().out
    assert '--box-unit auto: pixel' in said
    assert '6 at keyframes (1 a second), 1 between keyframes' in said
    assert '1 row(s) say what another says' in said
    assert 'scores go down to 0.5' in said
    assert 'without any labelled box' not in said
    scope = {}
    exec(said.split('Lines for your config:')[1], scope)
    assert scope['num_classes'] == 3 and scope['keyframe_rate'] == 1
    assert any(line.split() == ['2', 'talk', '2', '1']
               for line in said.split('\n'))
    assert any(line.split() == ['boxes', 'without', 'label', '1', '0']
               for line in said.split('\n'))


def test_mmaction_reads_the_set(tool, videos, tmp_path):
    evaluation = pytest.importorskip('mmaction.evaluation')
    from mmaction.datasets import AVADataset
    found = make(
        tool, write(tmp_path, TRAIN, VAL, 'b,60,0,0,9,9,run,train'), videos)
    out = tmp_path / 'out'
    with open(out / 'label_map.pbtxt') as f:
        names, ids = evaluation.read_labelmap(f)
    assert names == [{'id': 1, 'name': 'run'}, {'id': 2, 'name': 'stand'}]
    dataset = AVADataset(str(out / 'train.csv'), [],
                         proposal_file=str(out / 'proposals_train.pkl'),
                         label_file=str(out / 'label_map.pbtxt'),
                         num_classes=3)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [i['img_key'] for i in infos] == ['b,0000', 'b,0001']
    assert infos[1]['gt_labels'].tolist() == [[0, 1, 0]]
    np.testing.assert_allclose(infos[1]['proposals'], infos[1]['gt_bboxes'],
                               atol=1e-6)
    assert len(found['train']) == 2


@pytest.mark.parametrize('rate', [1, 3])
def test_online_ava_dataset_finds_the_frames(tool, videos, tmp_path, capsys,
                                             rate):
    pytest.importorskip('mmcv', reason='the data set needs MMAction2')
    from mmaction_memvit.datasets import OnlineAVADataset
    rows = [
        (name, frame) for name, frames in (
            ('a/walk (1)!', (0, 3, 7, 10, 40)),
            ('b', (0, 20, 40, 60, 149)), ('same.mkv', (0, 20, 29)))
        for frame in frames]
    table = write(
        tmp_path, *(f'{name},{frame},0,0,{frame + 1},64,go;{name[0]},val'
                    for name, frame in rows if frame != 40),
        *(f'{name},{frame},0,0,{frame + 1},64,,val'
          for name, frame in rows if frame == 40),
        'x.y,0,0,0,9,9,,val', TRAIN.replace('b', 'same.mp4'), head=HEAD)
    # The boxes of frame 149 are 150 pixels wide.
    make(tool, table, videos, '--keyframe-rate', str(rate), '--bad-rows',
         'skip')
    said = capsys.readouterr().out
    assert "1 video(s) without any labelled box will not be used: 'x.y" in said
    scope = {}
    exec(said.split('Lines for your config:')[1], scope)
    out = tmp_path / 'out'
    dataset = OnlineAVADataset(
        str(out / 'val.csv'), [], proposal_file=str(out / 'proposals_val.pkl'),
        label_file=str(out / 'label_map.pbtxt'), keyframes='proposals',
        num_classes=scope['num_classes'], test_mode=True, timestamp_start=0,
        data_prefix=dict(video=scope['video_folder']),
        index_file=str(out / 'index.json'),
        keyframe_rate=scope['keyframe_rate'])
    found = {}
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        assert Path(info['filename']).is_file()
        # Every box tells its frame.
        (box, ) = info['proposals']
        assert round(float(box[2]) * 128) - 1 == info['center_frame']
        np.testing.assert_allclose(box[[0, 1, 3]], [0, 0, 1])
        found[info['video_id'], info['center_frame']] = len(info['gt_bboxes'])
    fps = {'a/walk (1)!': 10, 'b': 60, 'same.mkv': 30}
    wanted = {(name, frame): int(frame != 40) for name, frame in rows
              if frame < 128
              and frame in {round(t / rate * fps[name]) for t in range(200)}}
    assert found == wanted and len(found) == {1: 6, 3: 11}[rate]


def test_time_in_seconds_and_tabs(tool, videos, tmp_path):
    head = 'video,time,x1,y1,x2,y2,label,split'.replace(',', '\t')
    table = write(
        tmp_path,
        # 4 ms beside the frame of the keyframe, and a frame beside it.
        *(x.replace(',', '\t') for x in (
            'b,1.004,0,0,.5,.5,go,train', 'b,2.02,0,0,.5,.5,go,train',
            'x.y,0.0,0,0,1,1,go,val')),
        head=head, name='table.tsv')
    found = make(tool, table, videos)
    assert found['train'] == ['b,1,0.000000,0.000000,0.500000,0.500000,1,-1']
    # A tenth of a second beside it is near enough on request.
    found = make(tool, table, videos, '--tolerance', '0.1')
    assert [x.split(',')[1] for x in found['train']] == ['1', '2']


def test_unit(tool, videos, tmp_path, capsys):
    shares = write(tmp_path, 'b,0,0,0,0.5,1,go,train',
                   'x.y,0,.25,.25,.5,.5,go,val')
    found = make(tool, shares, videos)
    assert '--box-unit auto: share' in capsys.readouterr().out
    assert found['val'] == ['x.y,0,0.250000,0.250000,0.500000,0.500000,1,-1']
    small = write(tmp_path, 'b,0,0,0,1.5,2,go,train', 'x.y,0,0,0,1,1,go,val')
    with pytest.raises(SystemExit, match='csv:2: .*--box-unit share'):
        make(tool, small, videos)
    found = make(tool, small, videos, '--box-unit', 'pixel')
    assert found['train'] == ['b,0,0.000000,0.000000,0.011719,0.031250,1,-1']
    mixed = write(tmp_path, TRAIN, 'x.y,0,.25,.25,.5,.5,go,val')
    with pytest.raises(SystemExit, match='csv:3: .*csv:2 has 64.*mixed'):
        make(tool, mixed, videos)


def test_edges(tool, videos, tmp_path, capsys):
    """Boxes may reach a pixel over the edge; they are cut and counted."""
    table = write(tmp_path, 'b,0,-1,0.5,129,64,go,train', VAL)
    found = make(tool, table, videos)
    assert found['train'] == ['b,0,0.000000,0.007812,1.000000,1.000000,1,-1']
    assert '1 box(es) cut at the edge' in capsys.readouterr().out
    with pytest.raises(SystemExit, match=' 1 pix.*128x64 .*b.avi, .* 0.5'):
        make(tool, table, videos, '--max-overshoot', '.5')
    shares = write(tmp_path, 'b,0,0,0,1.015,1,go,train',
                   'x.y,0,0,0,.5,.5,go,val')
    with pytest.raises(SystemExit, match='1.92 pixels'):
        make(tool, shares, videos, '--box-unit', 'share')


@pytest.mark.parametrize('line, kind, match', [
    ('b,0,9,0,9,9,go,train', 'empty box', 'x2 must be greater'),
    ('b,0,0,0,140,9,go,train', 'outside the frame',
     r'140, 9 \(pixel\) reaches 12 pixels .* 128x64'),
    ('b,0,128,0,128.5,9,go,train', 'empty box', 'leaves nothing inside'),
    ('b,150,0,0,9,9,go,train', 'after the end',
     r'frame=150 .* number 149 \(150 frames, 60 a second\)'),
    ('b,-1,0,0,9,9,go,train', 'before the start', 'frame=-1'),
    ('b,1.5,0,0,9,9,go,train', 'no whole frame', 'frame=1.5 .* column time'),
    ('walk (1)!,0,0,0,9,9,go,train', 'unknown video',
     r"do you mean 'a/walk \(1\)!.mp4'"),
    ('same,0,0,0,9,9,go,train', 'ambiguous video', "'same.mkv', 'same.mp4'"),
    (',0,0,0,9,9,go,train', 'no video', 'must name a video'),
    ('b,0,0,0,x,9,go,train', 'no number', "x2='x'"),
])
def test_bad_rows(tool, videos, tmp_path, line, kind, match):
    table = write(tmp_path, TRAIN, VAL, line)
    with pytest.raises(SystemExit) as error:
        make(tool, table, videos)
    text = str(error.value)
    assert f'(1 {kind})' in text and '--bad-rows skip' in text
    assert re.search(f'table.csv: .*line 4: .*{match}', text)
    found = make(tool, table, videos, '--bad-rows', 'skip')
    assert len(found['train']) == len(found['val']) == 1


@pytest.mark.parametrize('head, lines, match', [
    ('video,frame,x1,y1,x2,y2', [], 'label; the header'),
    ('video,x1,y1,x2,y2,label', [], 'neither of the columns'),
    (HEAD, ['"a,b",0,0,0,9,9,go,train'], "'a,b' holds a comma"),
    (HEAD, ['b,0,0,0,9,9,,train', 'x.y,0,0,0,9,9,,val'], 'labels no box'),
    (HEAD, ['b,7,0,0,9,9,go,train', 'x.y,7,0,0,9,9,go,val'],
     'none of 2 rows .*--tolerance'),
    (HEAD, [TRAIN, 'b,60,0,0,9,9,go,val'], "rows of 'b.avi' are in train an"),
    (HEAD.replace('frame', 'time'), ['b,2.6,0,0,9,9,go,train'],
     r'time=2.6 .*, 2.483 s \(150 frames'),
    (HEAD + ',score', ['b,1,0,0,9,9,go,train,1.5'], 'score=1.5'),
])
def test_bad_tables(tool, videos, tmp_path, head, lines, match):
    table = write(tmp_path, *lines, head=head)
    with pytest.raises(SystemExit, match=match):
        make(tool, table, videos)


def test_bad_files(tool, videos, tmp_path):
    table = write(tmp_path, TRAIN, VAL)
    with pytest.raises(SystemExit, match='nowhere'):
        make(tool, table, tmp_path / 'nowhere')
    with pytest.raises(SystemExit, match='rate 31 .* 30 '):
        make(tool, table, videos, '--keyframe-rate', '31')
    (tmp_path / 'v').mkdir()
    for name in ('b.mp4', 'x.y.mp4'):
        (tmp_path / 'v' / name).write_bytes(b'no video')
    with pytest.raises(SystemExit, match="'b.mp4', 'x.y.mp4'"):
        make(tool, table, tmp_path / 'v')


def test_label_ids(tool, videos, tmp_path):
    table = write(tmp_path, 'b,0,0,0,9,9,0;4,train', 'x.y,0,0,0,9,9,2,val')
    with pytest.raises(SystemExit, match='line 2: label=0 .*--label-base 0'):
        make(tool, table, videos)
    found = make(tool, table, videos, '--label-base', '0')
    assert [x.split(',')[6] for x in found['train']] == ['1', '5']
    assert [x.split(',')[6] for x in found['val']] == ['3']
    assert found['labels'].count('item') == 3
    assert 'name: "action 5"\n  id: 5' in found['labels']


def test_label_map(tool, videos, tmp_path):
    names = tmp_path / 'names.txt'
    names.write_text('stand\nrun\n')
    table = write(tmp_path, TRAIN, VAL.replace('stand', 'run'))
    found = make(tool, table, videos, '--label-map', str(names))
    assert found['train'][0].split(',')[6] == '1'
    assert found['val'][0].split(',')[6] == '2'
    # A label map of an earlier set, and ids.
    again = tmp_path / 'again.pbtxt'
    again.write_text(found['labels'])
    ids = write(tmp_path, TRAIN.replace('stand', '2'), VAL.replace(
        'stand', '1'))
    found = make(tool, ids, videos, '--label-map', str(again))
    assert found['labels'] == again.read_text()
    assert found['train'][0].split(',')[6] == '2'
    for label, match in (('3', 'label=3 .* 1, 2 '), ('fly', '=fly is not in')):
        table = write(tmp_path, TRAIN.replace('stand', label),
                      VAL.replace('stand', '1'))
        with pytest.raises(SystemExit, match=match):
            make(tool, table, videos, '--label-map', str(again))


def test_val_share_keeps_groups_together(steps):

    class Args:
        table, val_share, seed = 't', .3, 0

    # Video 2k and 2k + 1 show actor k; video 3 shows actor 5, too.
    rows = pd.DataFrame([
        dict(file=f'v{v}', group=str(g), ids=[1 + g % 2], split='')
        for v in range(20) for g in [v // 2] + [5] * (v == 3)])
    first, again = rows.copy(), rows.copy()
    steps.set_splits(Args, first)
    sides = dict(zip(first['file'], first['split']))
    assert set(sides.values()) == {'train', 'val'}
    assert all(sides[f'v{2 * k}'] == sides[f'v{2 * k + 1}'] for k in range(10))
    assert sides['v3'] == sides['v10']
    share = sum(x == 'val' for x in sides.values()) / 20
    assert .1 <= share <= .4
    steps.set_splits(Args, again)
    assert again.equals(first)
    with pytest.raises(ValueError, match='1 group.* column split'):
        steps.set_splits(Args, rows[rows['group'] == '5'].copy())


def test_group_column(tool, videos, tmp_path):
    head = 'video,frame,x1,y1,x2,y2,label,Actor'
    lines = [f'{v},0,0,0,9,9,go,{actor}' for v, actor in (
        ('b', 1), ('x.y', 2), ('same.mp4', 1), ('same.mkv', 2))]
    table = write(tmp_path, *lines, head=head)
    found = make(tool, table, videos, '--group-column', 'actor')
    sides = {frozenset(x.split(',')[0] for x in found[s])
             for s in ('train', 'val')}
    assert sides == {frozenset({'b', 'same.mp4'}),
                     frozenset({'x.y', 'same.mkv'})}
    with pytest.raises(SystemExit, match='--group-column where'):
        make(tool, table, videos, '--group-column', 'where')
