# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json

import pytest
from helpers.videos import write_video

from mmaction_memvit.datasets.options import rename, retire
from mmaction_memvit.datasets.source import Source
from mmaction_memvit.video import probe_video
from mmaction_memvit.video.index import write_video_index


@pytest.mark.parametrize('policy', ['skip', 'unchecked'])
def test_videos_elsewhere_are_not_counted(policy, monkeypatch):
    source = Source('list.txt', dict(video='s3://bucket'), policy)
    monkeypatch.setattr('mmaction_memvit.datasets.source.exists',
                        lambda path: True)
    with pytest.raises(ValueError, match='s3://bucket/a.mp4.*index_file'):
        source.listed(['a.mp4'])


def test_files_of_an_index(tmp_path):
    path = write_video(tmp_path / 'a.mp4', 20)
    entry = probe_video(path)
    index = str(tmp_path / 'index.json')
    write_video_index({'a.mp4': entry}, index)
    source = Source('list.txt', dict(video=str(tmp_path)), 'error', index)
    video, = source.named({'a': ['a']})
    assert video['frame_table']['table'] == entry['table']
    assert (video['num_frames'], video['fps']) == (20, 30)
    # An index of before there were tables is read.
    del entry['table']
    write_video_index({'a.mp4': entry}, index)
    video, = source.named({'a': ['a']})
    assert 'frame_table' not in video and video['num_frames'] == 20


def test_several_files_of_a_name(tmp_path):
    for name in ('a.mp4', 'a.mkv'):
        write_video(tmp_path / name, 5)
    with pytest.raises(ValueError, match='a.mkv'):
        Source('list.txt', dict(video=str(tmp_path))).named({'a': ['a']})


@pytest.mark.parametrize('policy', ['error', 'skip', 'unchecked'])
@pytest.mark.parametrize('indexed', [False, True])
def test_folders_of_frames(tmp_path, policy, indexed):
    """Of a, two places are possible; b is not there; c is cut off."""
    for name, num in (('x/a', 12), ('c', 3)):
        (tmp_path / name).mkdir(parents=True)
        for i in range(num):
            (tmp_path / name / f'{name[-1]}-{i}.jpg').write_text('')
    counts = dict(a=12, b=9, c=7)
    index = None
    if indexed:
        index = str(tmp_path / 'index.json')
        with open(index, 'w') as f:
            json.dump({k: dict(num_frames=n, fps=12.)
                       for k, n in counts.items()}, f)
    source = Source('list.txt', dict(img=str(tmp_path)), policy, index)

    def find():
        return {
            v['video_id']: (v['frame_dir'][len(str(tmp_path)) + 1:],
                            v['num_frames'], v['fps'])
            for v in source.folders(
                dict(a=['a', 'x/a'], b=['b'], c=['c']), 24.,
                '{video_id}-{}.jpg', 0, counts)
        }

    fps = 12. if indexed else 24.
    if policy == 'error':
        with pytest.raises(FileNotFoundError, match="of 3 .*'skip'"):
            find()
    elif policy == 'unchecked':
        assert find() == dict(
            a=('a', 12, fps), b=('b', 9, fps), c=('c', 7, fps))
    elif indexed:
        # Frames that the index counts must be there.
        assert find() == dict(a=('x/a', 12, fps))
    else:
        assert find() == dict(a=('x/a', 12, fps), c=('c', 3, fps))


def test_options_of_former_versions(warnings):
    for _ in range(2):
        kwargs = dict(old_test_name=3, always_so=True, other=1)
        assert rename(kwargs, 'new', 5, 'old_test_name') == 3
        retire(kwargs, always_so=True)
        assert kwargs == dict(other=1)
    assert rename(kwargs, 'new', 5, 'old_test_name') == 5
    # Once each.
    assert len(warnings) == 2 and 'new' in warnings[0]
    with pytest.raises(ValueError, match='always_so=False'):
        retire(dict(always_so=False), always_so=True)
