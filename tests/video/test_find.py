# Copyright (c) mmaction_memvit contributors. All rights reserved.
import unicodedata

import pytest

from mmaction_memvit.video.find import (
    count_frame_images,
    find_videos,
    list_videos,
    walk,
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


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def find(root, *names, **kwargs):
    return find_videos({n: [n] for n in names}, str(root), **kwargs)


def test_videos_are_found_by_name(tmp_path):
    touch(tmp_path, 'a.mp4', 'b.MKV', 'b.txt', 'c!(1).d.avi', 'e.webm',
          'x/y.m4v', 'x/z.mp4')
    assert find(tmp_path, 'a', 'b', 'c!(1).d', 'e.webm', 'x/y', 'f', 'q/w',
                './a.mp4') == {
                    'a': ['a.mp4'], 'b': ['b.MKV'],
                    'c!(1).d': ['c!(1).d.avi'], 'e.webm': ['e.webm'],
                    'x/y': ['x/y.m4v'], './a.mp4': ['a.mp4']}
    assert find(tmp_path, 'z', 'a', anywhere=True) == {
        'a': ['a.mp4'], 'z': ['x/z.mp4']}
    touch(tmp_path, 'a.mkv')
    assert find(tmp_path, 'a') == {'a': ['a.mkv', 'a.mp4']}
    assert find(tmp_path / 'absent', 'a', anywhere=True) == {}


def test_names_of_another_composition(tmp_path):
    name = unicodedata.normalize('NFD', 'caf\xe9.mp4')
    touch(tmp_path, name)
    for wanted in ('caf\xe9', 'caf\xe9.mp4'):
        found, = find(tmp_path, wanted)[wanted]
        assert (tmp_path / found).exists()


def test_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path, 'disk/P01/a.m4v', 'videos/b.mp4', 'videos/b.txt')
    videos = tmp_path / 'videos'
    for link, target in (('P01', '../disk/P01'), ('P02', '../disk/P01'),
                         ('train', '.'), ('up', '..')):
        (videos / link).symlink_to(target)
    (tmp_path / 'disk/P01/self').symlink_to('..')
    found = list_videos(str(videos))
    assert {'P01/a.m4v', 'P02/a.m4v', 'b.mp4'} <= set(found)
    assert not any(x.startswith('train') for x in found)
    assert len(list(walk(str(videos)))) < 20
