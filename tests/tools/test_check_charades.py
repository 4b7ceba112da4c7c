# Copyright (c) mmaction_memvit contributors. All rights reserved.

import pytest
from helpers.charades import write_list, write_videos
from helpers.tools import tool_fixture
from helpers.videos import truncate

from mmaction_memvit.datasets import CharadesDataset

tool = tool_fixture('tools/data/charades/check_charades.py')
ROWS = [('AAAAA', 'c000 0.00 1.00;c000 1.00 2.00', 2.), ('BBBBB', '', 1.5)]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_list('list.csv', ROWS)
    write_videos('videos', ROWS)
    return tmp_path


def run(tool, *args):
    return tool.main(['list.csv', '--num-workers', '1', *args])


def test_sound_videos(tool, root, capsys, monkeypatch):
    args = ['--videos', 'videos', '--index', 'index.json']
    assert run(tool, *args) == 0
    text = capsys.readouterr().out
    assert '2 videos, 1 without actions; 1 of 157 classes occur\n' in text
    assert '\nCharades_v1_classes.txt is missing' in text
    assert '2 of 2 are there, 84 frames' in text and 'All in order' in text
    # The data set takes the index, and need not look for the videos.
    data = CharadesDataset('list.csv', [], dict(video='videos'),
                           index_file='index.json', missing_video='unchecked')
    assert [data[i]['total_frames'] for i in range(2)] == [48, 36]


def test_faults(tool, root, capsys):
    rows = [*ROWS, ('CCCCC', '', 9.), ('DDDDD', '', 1.), ('EEEEE', '', 1.)]
    write_list('list.csv', rows)
    (root / 'Charades_v1_classes.txt').touch()
    write_videos('videos', [('CCCCC', '', 2.)])
    truncate('videos/AAAAA.mp4', 'videos/DDDDD.mp4', 0.3)
    assert run(tool, '--videos', 'videos') == 1
    text = capsys.readouterr().out
    assert 'missing: 1\n    EEEEE\n' in text
    assert 'classes.txt' not in text
    assert 'not decodable: 1\n    DDDDD: ' in text
    assert 'CCCCC: 2.00 s, listed 9 s' in text
    assert '3 of 5 are not in order' in text
