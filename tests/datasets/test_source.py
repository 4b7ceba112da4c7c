# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json

import pytest
from helpers.epic import write_official
from helpers.videos import read_number, write_video

from mmaction_memvit.datasets import (
    EpicDataset,
    NamedVideoDataset,
    OnlineAVADataset,
    OnlineEpicDataset,
    OnlineVideoDataset,
)
from mmaction_memvit.video import probe_video
from mmaction_memvit.video.index import write_video_index


def find(names=('a', ), kind=NamedVideoDataset, **kwargs):
    return kind('list.txt', [], lazy_init=True, **kwargs).find_videos(names)


def test_videos_elsewhere_are_not_counted(monkeypatch):
    monkeypatch.setattr('mmaction_memvit.datasets.source.exists',
                        lambda path: True)
    with pytest.raises(ValueError, match='s3://bucket/a.mp4.*index_file'):
        find(['a.mp4'], OnlineVideoDataset,
             data_prefix=dict(video='s3://bucket'), missing_video='skip')


def test_files_of_an_index(tmp_path):
    path = write_video(tmp_path / 'a.mp4', 20)
    entry = probe_video(path)
    index = str(tmp_path / 'index.json')
    write_video_index({'a.mp4': entry}, index)
    there = dict(data_prefix=dict(video=str(tmp_path)), index_file=index)
    video, = find(**there)
    assert video['frame_table']['table'] == entry['table']
    assert (video['num_frames'], video['fps']) == (20, 30)
    # An index of before there were tables is read.
    del entry['table']
    write_video_index({'a.mp4': entry}, index)
    video, = find(**there)
    assert 'frame_table' not in video and video['num_frames'] == 20


def test_several_files_of_a_name(tmp_path):
    for name in ('a.mp4', 'a.mkv'):
        write_video(tmp_path / name, 5)
    with pytest.raises(ValueError, match='a.mkv'):
        find(data_prefix=dict(video=str(tmp_path)))


@pytest.mark.parametrize('policy, indexed', [
    ('error', False), ('error', True), ('skip', False), ('skip', True),
    ('unchecked', True)])
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

    class Places(NamedVideoDataset):

        def places(self, name):
            return [name, f'x/{name}']

    def found():
        return {
            v['video_id']: (v['frame_dir'][len(str(tmp_path)) + 1:],
                            v['num_frames'], v['fps'])
            for v in find('abc', Places, data_prefix=dict(img=str(tmp_path)),
                          missing_video=policy, index_file=index, fps=24.,
                          filename_tmpl='{video_id}-{}.jpg', start_index=0)}

    fps = 12. if indexed else 24.
    if policy == 'error':
        with pytest.raises(FileNotFoundError, match="of 3 .*'skip'"):
            found()
    elif policy == 'unchecked':
        assert found() == dict(
            a=('a', 12, fps), b=('b', 9, fps), c=('c', 7, fps))
    elif indexed:
        # Frames that the index counts must be there.
        assert found() == dict(a=('x/a', 12, fps))
    else:
        assert found() == dict(a=('x/a', 12, fps), c=('c', 3, fps))


def test_a_folder_with_a_gap_is_left_out_where_asked(tmp_path):
    for name, numbers in dict(a=(1, 2), b=(1, 3)).items():
        (tmp_path / name).mkdir()
        for i in numbers:
            (tmp_path / name / f'img_{i:05}.jpg').write_text('')
    there = dict(data_prefix=dict(img=str(tmp_path)))
    with pytest.raises(ValueError, match='image 2'):
        find('ab', **there)
    video, = find('ab', missing_video='skip', **there)
    assert (video['video_id'], video['num_frames']) == ('a', 2)


def test_seconds_are_those_of_a_player_where_the_rate_varies(tmp_path):
    """30 pictures in second 0, then one every 0.1 s."""
    write_video(tmp_path / 'P01_01.mp4', 60,
                times=[*range(30), *range(30, 120, 3)])
    # The picture of second 2 is number 40; 2 * fps is 30.
    (tmp_path / 'ava.csv').write_text('P01_01,2,0,0,1,1,1\n')
    epic = write_official(tmp_path / 'epic.csv', [('P01_01_0', 2, 2.5, 1, 1)])
    kwargs = dict(data_prefix=dict(video=str(tmp_path)))
    load = [dict(type='LoadVideoClip')]
    sample = OnlineAVADataset(str(tmp_path / 'ava.csv'), [
        dict(type='SampleKeyframeClip', clip_len=1, frame_interval=1), *load],
        num_classes=2, **kwargs)[0]
    assert read_number(sample['imgs'][0]) == sample['center_frame'] == 40
    assert sample['start_seconds'] == 2
    assert EpicDataset(epic, [], **kwargs)[0]['segment_frames'] == (40, 44)
    sample = OnlineEpicDataset(
        epic, load, clip_len=4, frame_interval=15, **kwargs)[1]
    # Seconds 2, 2.5, 3 and 3.5.
    assert [read_number(x) for x in sample['imgs']] == [40, 45, 50, 55]
    assert sample['start_seconds'] == 2
