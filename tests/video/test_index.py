# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json
import os

import numpy as np
import pytest

from mmaction_memvit.video.frames import pack, unpack
from mmaction_memvit.video.index import (
    in_threads,
    load_video_index,
    write_video_index,
)


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


def test_answers_keep_their_order():
    assert in_threads(lambda x: x * 2, list(range(100))) == list(
        range(0, 200, 2))


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
])
def test_bad_files(tmp_path, text, match):
    path = tmp_path / 'index.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=match) as error:
        load_video_index(str(path), 'run this')
    assert 'Remedy: run this' in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='build_video_index'):
        load_video_index(str(tmp_path / 'absent.json'))
