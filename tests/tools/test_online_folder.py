# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json

import pandas as pd
import pytest
from helpers.boxes import (
    NUM_CLASSES,
    VIDEOS,
    write_detector,
    write_videos_with_boxes,
)
from helpers.tools import tool_fixture
from helpers.videos import write_video
from mmengine.fileio import load

tool = tool_fixture('tools/online_folder.py')


def test_names_of_videos(tool, tmp_path):
    (tmp_path / 'a/b').mkdir(parents=True)
    for name in ('a/x.mp4', 'a/b/y.MKV', 'z.avi', 'a/notes.md'):
        (tmp_path / name).touch()
    (tmp_path / 'a/list.txt').write_text(
        f'b/y.MKV\n\n../z.avi\n{tmp_path}/a/x.mp4\n')
    root = str(tmp_path)
    found = tool.name_videos([f'{root}/a', f'{root}/z.avi'])
    assert {k: x[len(root):] for k, x in found.items()} == {
        'x.mp4': '/a/x.mp4', 'b/y.MKV': '/a/b/y.MKV', 'z.avi': '/z.avi'}
    found = tool.name_videos([f'{root}/a/list.txt'])
    assert {*found} == {'b/y.MKV', 'z.avi', f'{root[1:]}/a/x.mp4'}
    # Labels and seconds behind a path are none of it.
    (tmp_path / 'b 2').touch()
    (tmp_path / 'labels.txt').write_text(
        'z.avi 3\na/x.mp4 0.5 1.25 2,3\na/x.mp4 2 3 -1\nb 2\n',
        encoding='utf-8-sig')  # as Windows writes
    assert [*tool.name_videos([f'{root}/labels.txt'])] == [
        'z.avi', 'a/x.mp4', 'b 2']
    # The same file twice is one; other files of a name are two.
    assert len(tool.name_videos([f'{root}/a', f'{root}/a/x.mp4'])) == 2
    (tmp_path / 'x.mp4').touch()
    with pytest.raises(ValueError, match='same name'):
        tool.name_videos([f'{root}/a', f'{root}/x.mp4'])
    with pytest.raises(FileNotFoundError, match='none'):
        tool.name_videos([f'{root}/none'])


def test_a_detector_takes_boxes_of_a_table(tool, tmp_path, monkeypatch,
                                           capsys):
    pytest.importorskip('mmdet')
    data = write_videos_with_boxes(tmp_path / 'videos')
    write_video(data / 'alone.mp4', 90)
    config, weights = write_detector(tmp_path, data)

    def call(*args):
        monkeypatch.setattr('sys.argv', [
            'tool', str(data), '--config', config, '--checkpoint', weights,
            '--out-dir', str(tmp_path / 'out'), '--workers', '1', *args])
        tool.main()
        return capsys.readouterr().out

    said = call('--boxes', str(data / 'proposals.pkl'))
    assert 'x real time' in said and '1 of 5 files' in said
    lines = [json.loads(x) for x in open(tmp_path / 'out/results.jsonl')]
    table = load(str(data / 'proposals.pkl'))
    assert {x['video'] for x in lines} == {a + b for a, b, *_ in VIDEOS}
    for line in lines:
        stem = line['video'].rpartition('.')[0]
        boxes = table.get(f'{stem},{round(line["keyframe"]):04d}', [])
        assert len(line['scores']) == len(boxes)
        for box, own, scores in zip(boxes, line['boxes'], line['scores']):
            assert own == pytest.approx(box[:4].tolist(), abs=1e-5)
            assert len(scores) == NUM_CLASSES
    assert any(x['boxes'] for x in lines)
    failed = pd.read_csv(tmp_path / 'out/failed.csv')
    assert failed.video.tolist() == ['alone.mp4']
    with pytest.raises(SystemExit, match='--boxes.*--person-config'):
        call()
    assert 'all is done' in call('--boxes', str(data / 'proposals.pkl'))
