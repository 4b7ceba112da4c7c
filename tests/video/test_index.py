# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
import os
import unicodedata

import numpy as np
import pytest

from mmaction_memvit.video.find import (
    count_frame_images,
    find_videos,
    list_videos,
    load_video_index,
    walk,
)
from mmaction_memvit.video.frames import pack, unpack
from mmaction_memvit.video.index import write_video_index


@pytest.mark.parametrize('values', [
    [], [7], [3, 5], range(-4, 90000, 512), [0, 33, 67, 100], [5, 2, 2**40]])
def test_packed_numbers(values):
    packed = json.loads(json.dumps(pack(np.array(values, np.int64))))
    np.testing.assert_array_equal(unpack(packed), np.array(values, np.int64))


def test_tables_of_many_hours_are_small(tmp_path):
    # Times in milliseconds, keyframes where the picture changes: an hour.
    rng = np.random.default_rng(0)
    times = np.rint(np.arange(108000) * 1000 / 29.97).astype(np.int64)
    keys = np.cumsum(rng.integers(10, 250, 800))
    assert len(pack(np.arange(108000) * 512)) == 3
    assert len(pack(times)) < 6000 and len(pack(keys)) < 2500


def test_files(tmp_path):
    path = str(tmp_path / 'new' / 'index.json')
    index = {'a b.mp4': dict(num_frames=3, fps=30., width=8, height=8, size=1)}
    write_video_index(index, path)
    assert load_video_index(path) == index
    assert os.listdir(tmp_path / 'new') == ['index.json']


@pytest.mark.parametrize('text, match', [
    ('{', 'no JSON'),
    ('[1]', 'holds a list'),
    (json.dumps({'a.mp4': 7}), "'a.mp4' is 7"),
    (json.dumps({'a.mp4': dict(num_frames='7', fps=1)}), 'num_frames'),
    (json.dumps({'a.mp4': dict(num_frames=7, fps=0)}), 'fps > 0'),
    (json.dumps({'a.mp4': dict(num_frames=7, fps='30')}), 'fps > 0'),
    (json.dumps({'a.mp4': dict(num_frames=7, fps=30, table={})}), 'table'),
])
def test_bad_files(tmp_path, text, match):
    path = tmp_path / 'index.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=match) as error:
        load_video_index(str(path), 'run this')
    assert 'run this' in str(error.value)


# -- finding ----------------------------------------------------------------


@pytest.mark.parametrize('num', [0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 27000])
def test_frames_are_counted_with_few_questions(num):
    asked = []
    names = {f'folder/f_{i:04}.png' for i in range(5, 5 + num)}

    def is_there(name):
        asked.append(name)
        return name in names

    assert count_frame_images('folder', 'f_{:04}.png', 5, is_there) == num
    assert len(asked) <= 50
    if num > 6:
        # Half of them are missing.
        names -= {f'folder/f_{i:04}.png' for i in range(5 + num // 3,
                                                        5 + num * 2 // 3)}
        with pytest.raises(ValueError, match='Remedy'):
            count_frame_images('folder', 'f_{:04}.png', 5, is_there)


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
