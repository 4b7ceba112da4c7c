# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json

import pytest
from helpers.tools import tool_fixture
from helpers.videos import truncate, write_video

from mmaction_memvit.datasets import OnlineAVADataset

tool = tool_fixture('tools/data/ava/prepare_ava.py')


def row(video, time, label=1):
    return f'{video},{time},0.1,0.1,0.5,0.5,{label},0\n'


@pytest.fixture
def root(tmp_path):
    """Two videos of 5 s, and annotations of the seconds 900 to 904."""
    write_video(tmp_path / 'videos/a!(1).mp4', 50, rate=10)
    write_video(
        tmp_path / 'videos/b.avi', 100, rate=20, codec='mpeg4', b_frames=0)
    folder = tmp_path / 'annotations'
    folder.mkdir()
    (folder / 'ava_train_v2.2.csv').write_text(
        row('a!(1)', 901) + row('a!(1)', 901, 7) + row('a!(1)', 904))
    (folder / 'ava_val_v2.2.csv').write_text(row('b', 902))
    for name in ('train', 'val'):
        (folder / f'ava_{name}_excluded_timestamps_v2.2.csv').write_text(
            'a!(1),0904\n' if name == 'train' else 'b,903\n')
    (folder / 'ava_included_timestamps_v2.2.txt').write_text('0902\n')
    (folder / 'ava_val_predicted_boxes.csv').write_text('b,902,0,0,1,1,,0.9\n')
    (folder / 'list.pbtxt').write_text('item {\n  name: "x"\n  id: 7\n}\n')
    return tmp_path


def run(tool, root, *args, annotations='annotations', **where):
    where = where or dict(videos='videos')
    flags = [x for k, v in where.items() for x in (f'--{k}', str(root / v))]
    out = root / 'index.json'
    code = tool.main([str(root / annotations), *flags, '--out', str(out),
                      '--num-workers', '1', *args])
    return code, json.loads(out.read_text()) if out.exists() else None


def test_cuts(tool, root, capsys):
    code, index = run(tool, root)
    assert code == 0
    assert {k: v['num_frames'] for k, v in index.items()} == {
        'a!(1).mp4': 50, 'b.avi': 100}
    text = capsys.readouterr().out
    assert ('ava_train_v2.2.csv: 1 videos, 2 keyframes (1 of them excluded), '
            '2 boxes, 3 labels') in text
    assert '2 classes, 1 to 7' in text and 'timestamps: 901 to 904' in text
    assert 'ava_val_v2.2.csv: 1 videos, 1 keyframes (0 of them' in text
    assert text.count('1 excluded timestamps of 1 videos') == 2
    assert 'list.pbtxt: 1 classes, 7 to 7' in text
    assert 'predicted_boxes.csv:' not in text
    assert '2 of 2 are there' in text and 'missing: 0' in text
    assert 'frames per second: 10 (1), 20 (1)' in text
    assert 'timestamp_start=0: 3 of 3 keyframes, of 2 videos, are after' \
        in text
    assert 'timestamp_start=900 fits' in text and 'too short: 0' in text
    dataset = OnlineAVADataset(
        str(root / 'annotations/ava_train_v2.2.csv'), [],
        exclude_file=str(
            root / 'annotations/ava_train_excluded_timestamps_v2.2.csv'),
        data_prefix=dict(video=str(root / 'videos')),
        index_file=str(root / 'index.json'), timestamp_start=900)
    assert dataset.stream_keys() == [('a!(1)', 901)]


def test_whole_videos(tool, root, capsys):
    (root / 'mine.csv').write_text(row('a!(1)', 0) + row('b', 4))
    code, _ = run(tool, root, '--strict', annotations='mine.csv')
    text = capsys.readouterr().out
    assert code == 0 and 'timestamp_start=0 fits' in text
    assert 'timestamp_start=900' not in text
    # In frames of the first video.
    (root / 'mine.csv').write_text(row('a!(1)', 1) + row('a!(1)', 50))
    code, _ = run(tool, root, '--keyframe-rate', '10', '--timestamp-start',
                  '1', '--strict', annotations='mine.csv')
    assert code == 0
    assert 'timestamp_start=1 fits' in capsys.readouterr().out


def test_what_is_wrong_with_the_videos(tool, root, capsys):
    whole = write_video(
        root / 'whole.mp4', 90, container_options={'movflags': 'faststart'})
    truncate(whole, root / 'videos/cut.mp4', 0.7)
    (root / 'videos/text.mkv').write_text('no video')
    (root / 'mine.csv').write_text(''.join(
        row(v, 900) for v in ('a!(1)', 'b', 'cut', 'text', 'gone'))
        + row('b', 905) + row('b', 906) + 'empty,900\n')
    write_video(root / 'videos/empty.mp4', 10)
    code, index = run(tool, root, annotations='mine.csv')
    text = capsys.readouterr().out
    assert code == 0 and 'missing: 1\n    gone' in text
    assert 'not decodable: 1\n    text: cannot be read' in text
    assert 'will be used: 1\n    cut: ' in text
    assert ('too short: 1\n    b: ends at timestamp 905.0, last keyframe at '
            '906, 2 keyframes after the end') in text
    assert "videos without any box: 1: 'empty'" in text
    assert '4 of 6 are not in order' in text
    assert run(tool, root, '--strict', annotations='mine.csv')[0] == 1


def test_films_and_cuts_mixed(tool, root, capsys):
    write_video(root / 'videos/film.mp4', 910, rate=1)
    (root / 'mine.csv').write_text(row('a!(1)', 902) + row('film', 902))
    run(tool, root, '--timestamp-start', '0', annotations='mine.csv')
    text = capsys.readouterr().out
    assert 'too short: 1\n    a!(1): ends at timestamp 5.0' in text
    assert 'timestamp_start=900' not in text
    (root / 'mine.csv').write_text(row('a!(1)', 500))
    run(tool, root, annotations='mine.csv')
    assert 'No timestamp_start fits' in capsys.readouterr().out


def test_frame_folders(tool, root, capsys):
    for name, num in (('a!(1)', 150), ('b', 90)):
        folder = root / 'frames' / name
        folder.mkdir(parents=True)
        for i in range(num):
            (folder / f'{i}.png').touch()
    args = ['--filename-tmpl', '{}.png', '--start-index', '0']
    code, index = run(tool, root, *args, frames='frames')
    assert code == 0 and index == {'a!(1)': dict(num_frames=150, fps=30.),
                                   'b': dict(num_frames=90, fps=30.)}
    text = capsys.readouterr().out
    assert 'timestamp_start=900 fits' in text and '2 of 2 are there' in text
    (root / 'frames/b/90.png').touch()
    assert run(tool, root, *args, frames='frames')[1]['b']['num_frames'] == 91
    assert run(tool, root, '--strict', frames='frames')[0] == 1
    assert 'not decodable: 2' in capsys.readouterr().out


def test_bad_rows(tool, root, capsys):
    assert run(tool, root, videos='nowhere')[0] == 2
    (root / 'mine.csv').write_text(row('b', 1) + 'b,1,0,0,9,9,1\n')
    assert run(tool, root, annotations='mine.csv')[0] == 2
    assert 'line 2: box 0,0,9,9 leaves' in capsys.readouterr().err
    assert run(tool, root, '--skip-bad-rows', annotations='mine.csv')[0] == 0
    assert 'bad rows: 1' in capsys.readouterr().out
