# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest

from mmaction_memvit.datasets.video_files import (
    VideoFiles,
    count_frame_images,
    in_threads,
    list_video_files,
    match_videos,
)


@pytest.mark.parametrize('num', [0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 27000])
@pytest.mark.parametrize('guess', [0, 1, 2, 8, 9, 64, 27000, 99999])
def test_frames_are_counted_with_few_questions(num, guess):
    asked = []
    names = {f'folder/f_{i:04}.png' for i in range(5, 5 + num)}

    def is_there(name):
        asked.append(name)
        return name in names

    assert count_frame_images(
        'folder', 'f_{:04}.png', 5, guess, is_there) == num
    assert len(asked) <= 35
    if guess == num:
        assert len(asked) <= 4


def test_frames_of_a_real_folder(tmp_path):
    for i in range(1, 12):
        (tmp_path / f'img_{i:05}.jpg').touch()
    assert count_frame_images(str(tmp_path)) == 11
    assert count_frame_images(str(tmp_path / 'absent')) == 0


def test_videos_are_found_by_name(tmp_path):
    names = ('a.mp4', 'b.MKV', 'b.txt', 'c!(1).d.avi', 'e.webm', 'x/y.mp4')
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    ids = ['a', 'b', 'c!(1).d', 'e.webm', 'x/y', 'f', 'z/w']
    files = list_video_files(str(tmp_path), ids)
    assert set(files) == set(names)
    assert match_videos(ids, files) == {
        'a': 'a.mp4', 'b': 'b.MKV', 'c!(1).d': 'c!(1).d.avi',
        'e.webm': 'e.webm', 'x/y': 'x/y.mp4'}
    with pytest.raises(ValueError, match="'a' fits 2 files: 'a.mp4', 'a.mkv'"):
        match_videos(['a'], ['a.mp4', 'a.mkv'])
    assert list_video_files(str(tmp_path / 'absent'), ['a']) == []


def test_answers_keep_their_order():
    assert in_threads(lambda x: x * 2, list(range(100))) == list(
        range(0, 200, 2))


@pytest.mark.parametrize('policy', ['error', 'skip', 'unchecked'])
def test_videos_elsewhere_are_not_counted(policy):
    files = VideoFiles('list.txt', policy, "data_prefix['video']")
    videos = [dict(video_id='a.mp4', filename='s3://bucket/a.mp4')]
    with pytest.raises(ValueError, match='list.txt.*s3://bucket/a.mp4.*not on '
                       'a disk.*Remedy: build the index.*set index_file'):
        files.add_frame_counts(videos)
