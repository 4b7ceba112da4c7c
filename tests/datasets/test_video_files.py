# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
from helpers.videos import write_video

from mmaction_memvit.datasets.video_files import VideoFiles
from mmaction_memvit.video import probe_video
from mmaction_memvit.video.index import write_video_index


@pytest.mark.parametrize('policy', ['error', 'skip', 'unchecked'])
def test_videos_elsewhere_are_not_counted(policy):
    files = VideoFiles('list.txt', policy, "data_prefix['video']")
    videos = [dict(video_id='a.mp4', filename='s3://bucket/a.mp4')]
    with pytest.raises(ValueError, match='list.txt.*s3://bucket/a.mp4.*not on '
                       'a disk.*Remedy: build the index.*set index_file'):
        files.add_frame_counts(videos)


def test_files_of_an_index(tmp_path, caplog):
    path = write_video(tmp_path / 'a.mp4', 20)
    entry = probe_video(path)
    index = str(tmp_path / 'index.json')
    write_video_index({'a.mp4': entry}, index)
    files = VideoFiles('list.txt', 'error', '', index, 'run this')
    video, = files.find({'a': ['a']}, str(tmp_path))
    assert video['frame_table']['table'] == entry['table']
    assert (video['num_frames'], video['fps']) == (20, 30)
    # An index of before there were tables is read, and its remedy told.
    del entry['table']
    write_video_index({'a.mp4': entry}, index)
    video, = files.find({'a': ['a']}, str(tmp_path))
    assert 'frame_table' not in video and video['num_frames'] == 20


def test_several_files_of_a_name(tmp_path):
    for name in ('a.mp4', 'a.mkv'):
        write_video(tmp_path / name, 5)
    with pytest.raises(ValueError, match='a.mkv'):
        VideoFiles('list.txt', 'error', '').find({'a': ['a']}, str(tmp_path))
