# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
import os

import pytest
from helpers.tools import tool_fixture
from helpers.videos import truncate, write_video

from mmaction_memvit.datasets import OnlineVideoDataset
from mmaction_memvit.video import index as video_index

tool = tool_fixture('tools/data/build_video_index.py')


@pytest.fixture
def root(tmp_path):
    write_video(tmp_path / 'videos/a b.mp4', 40)
    write_video(tmp_path / 'videos/c!(1).avi', 30, codec='mpeg4', b_frames=0)
    (tmp_path / 'list.txt').write_text('a b.mp4 0\nc!(1).avi 1\n')
    return tmp_path


def run(tool, root, *args, lists=('list.txt', )):
    out = root / 'index.json'
    code = tool.main([*(str(root / x) for x in lists), '--data-root',
                      str(root / 'videos'), '--out', str(out), '--num-workers',
                      '1', *args])
    index = json.loads(out.read_text()) if out.exists() else None
    return code, index


def test_index_serves_the_dataset(tool, root, capsys):
    code, index = run(tool, root)
    assert code == 0
    assert {k: v['num_frames'] for k, v in index.items()} == {
        'a b.mp4': 40, 'c!(1).avi': 30}
    text = capsys.readouterr().out
    assert '2 videos, 70 frames' in text
    assert 'unreadable: 0' in text
    dataset = OnlineVideoDataset(str(root / 'list.txt'), [],
                                 data_prefix=dict(video=str(root / 'videos')),
                                 index_file=str(root / 'index.json'),
                                 clip_len=5, frame_interval=2)
    assert len(dataset) == 7


def test_unsound_videos_are_reported(tool, root, capsys):
    whole = write_video(
        root / 'whole.mp4', 90, container_options={'movflags': 'faststart'})
    truncate(whole, root / 'videos/cut.mp4', 0.7)
    (root / 'videos/text.mp4').write_text('no video')
    with open(root / 'list.txt', 'a') as f:
        f.write('cut.mp4 0\ntext.mp4 0\nabsent.mp4 0\n')
    code, index = run(tool, root)
    assert code == 0 and len(index) == 5
    text = capsys.readouterr().out
    assert 'cut off; what can be read will be used: 1\n    cut.mp4:' in text
    assert 'unreadable: 2\n    text.mp4: cannot be read' in text
    assert '3 of 5 are not in order' in text
    assert run(tool, root, '--strict')[0] == 1


def test_goes_on_where_it_was(tool, root, capsys, monkeypatch):
    probed = []
    probe = video_index.probe_video

    def spy(path, decode):
        probed.append(os.path.basename(path))
        if path.endswith('stop.mp4'):
            raise KeyboardInterrupt
        return probe(path, decode)

    monkeypatch.setattr(video_index, 'probe_video', spy)
    write_video(root / 'videos/stop.mp4', 10)
    (root / 'more.txt').write_text('stop.mp4 0\n')
    code, index = run(tool, root, lists=('list.txt', 'more.txt'))
    assert code == 130 and set(index) == {'a b.mp4', 'c!(1).avi'}
    assert 'run it again' in capsys.readouterr().out
    probed.clear()
    # Nothing is known of a file that has changed.
    write_video(root / 'videos/a b.mp4', 20, gop=4)
    code, index = run(tool, root)
    assert code == 0 and probed == ['a b.mp4']
    assert index['a b.mp4']['num_frames'] == 20


def test_missing_files_leave_good_entries(tool, root, capsys):
    index = run(tool, root)[1]
    capsys.readouterr()
    (root / 'videos/a b.mp4').rename(root / 'away.mp4')
    with open(root / 'list.txt', 'a') as f:
        f.write('absent.mp4 0\n')
    code, after = run(tool, root)
    text = capsys.readouterr().out
    assert code == 0 and {k: after[k] for k in index} == index
    # What was never there is told as before.
    assert after['absent.mp4']['num_frames'] == 0
    assert 'not there now, known from before: 1' in text
    assert '2 of 3 are not in order' in text
    assert run(tool, root, '--strict')[0] == 1


def test_a_wrong_root_changes_nothing(tool, root, capsys):
    index = run(tool, root)[1]
    (root / 'videos').rename(root / 'away')
    code, after = run(tool, root)
    assert code == 2 and after == index
    assert "videos' is no folder. Remedy" in capsys.readouterr().err
    code, after = run(tool, root, '--data-root', 's3://bucket/videos')
    assert code == 2 and after == index
    text = capsys.readouterr().err
    assert "--data-root 's3://bucket/videos': not on a disk" in text
    assert run(tool, root, lists=('absent.txt', ))[0] == 2


def test_a_killed_run_loses_little(tool, root, monkeypatch):
    probe, seen = video_index.probe_video, []

    def spy(path, decode):
        if (root / 'index.json').exists():
            seen.append(sorted(json.loads((root / 'index.json').read_text())))
        return probe(path, decode)

    monkeypatch.setattr(video_index, 'probe_video', spy)
    monkeypatch.setattr(video_index, '_SAVE_EVERY', 0.)
    assert run(tool, root)[0] == 0
    assert seen == [['a b.mp4']]


def test_without_lists_all_videos_of_a_folder(tool, root):
    # Folders may be links, also to themselves.
    (root / 'videos').rename(root / 'disk')
    (root / 'videos').mkdir()
    (root / 'videos/P01').symlink_to('../disk')
    (root / 'disk/again').symlink_to('.')
    (root / 'disk/notes.txt').touch()
    code, index = run(tool, root, lists=())
    assert code == 0
    assert set(index) == {'P01/a b.mp4', 'P01/c!(1).avi'}


def test_an_index_without_tables_is_made_anew(tool, root, capsys):
    code, index = run(tool, root)
    old = {k: {**v, 'num_frames': 7} for k, v in index.items()}
    for entry in old.values():
        del entry['table']
    (root / 'index.json').write_text(json.dumps(old))
    assert run(tool, root)[1] == index


def test_segments_in_processes(tool, root):
    (root / 'list.txt').write_text(
        'a b.mp4 0 1 0\nc!(1).avi 0 1 0\na b.mp4 1 2 1,2\n')
    code, index = run(tool, root, '--num-workers', '2', '--decode',
                      '--strict', '--ann-format', 'segments')
    assert code == 0 and len(index) == 2
