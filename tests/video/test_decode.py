# Copyright (c) mmaction_memvit contributors. All rights reserved.
import io
import random

import numpy as np
import pytest
from helpers.videos import read_number, truncate, write_video

from mmaction_memvit.video import DecordReader, PyAVReader, VideoReadError

NUM = 150
KINDS = {
    'b_frames.mp4': {},
    'one_gop.mp4': {'gop': 500},
    'faststart.mp4': {'container_options': {'movflags': 'faststart'}},
    'fragments.mp4': {
        'container_options': {'movflags': 'frag_keyframe+empty_moov'}},
    'open_gop.mp4': {'b_frames': 3, 'x264-params': 'open-gop=1'},
    'variable_rate.mp4': {
        'times': np.cumsum(np.random.RandomState(0).randint(
            1, 4, NUM)).tolist()},
    'plain.avi': {'codec': 'mpeg4', 'b_frames': 0},
    'b_frames.avi': {'codec': 'mpeg4'},
    'h264.avi': {},
    'h264.mkv': {},
    'h264.ts': {},
}


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('videos')
    return {kind: write_video(folder / kind, NUM, **options)
            for kind, options in KINDS.items()}


def numbers(reader, inds):
    return [read_number(x) for x in reader.read(inds)]


@pytest.mark.parametrize('kind', KINDS)
def test_exact_frames_anywhere(videos, kind):
    reader = PyAVReader(videos[kind])
    rng = random.Random(0)
    clips = [range(64), range(64, 128, 4), range(3, 9), range(NUM - 5, NUM)]
    for _ in range(20):
        start = rng.randrange(NUM - 16)
        clips.append(range(start, start + 16, rng.choice([1, 4])))
    for clip in clips:
        assert numbers(reader, clip) == list(clip)
    assert reader.num_frames == NUM
    reader.close()
    # From memory, in several threads.
    with open(videos[kind], 'rb') as f:
        reader = PyAVReader(io.BytesIO(f.read()), num_threads=0, name='x')
    assert numbers(reader, [100, 20, 21]) == [100, 20, 21]


def test_same_frames_as_decord_and_opencv(videos):
    pytest.importorskip('decord')
    cv2 = pytest.importorskip('cv2')
    path = videos['b_frames.mp4']
    inds = list(range(20, 70, 7))
    ours = np.stack(PyAVReader(path).read(inds)).astype(int)
    theirs = np.stack(DecordReader(path).read(inds)).astype(int)
    assert np.abs(ours - theirs).max() <= 8
    capture = cv2.VideoCapture(path)
    frames = []
    for i in range(inds[-1] + 1):
        ok, frame = capture.read()
        assert ok
        if i in inds:
            frames.append(frame[..., ::-1])
    assert np.abs(ours - np.stack(frames).astype(int)).max() <= 8


def test_a_clip_late_in_the_video_decodes_no_more(videos):
    reader = PyAVReader(videos['b_frames.mp4'])
    counted = []
    number_of = reader._number

    def count(frame):
        counted.append(frame)
        return number_of(frame)

    reader._number = count
    costs = []
    for start in (128, 64, 0, 64, 80, 130):
        counted.clear()
        reader.read(range(start, start + 16))
        costs.append(len(counted))
    # At most the clip and a group of pictures before it.
    assert max(costs) <= 16 + 12 + 3
    # What follows the last clip directly costs nothing extra.
    assert costs[4] == 16


def test_repeated_frames_do_not_share_memory(videos):
    # MMAction2's Flip works in place.
    for reader in (PyAVReader(videos['b_frames.mp4']), ):
        imgs = reader.read([7, 7, 7])
        assert [read_number(x) for x in imgs] == [7, 7, 7]
        imgs[0][:] = 0
        assert [read_number(x) for x in imgs] == [0, 7, 7]
        assert imgs[1].flags.writeable and imgs[1].flags.c_contiguous


def test_cut_off_file_gives_what_it_has(videos, tmp_path):
    path = truncate(videos['faststart.mp4'], tmp_path / 'cut.mp4', 0.7)
    reader = PyAVReader(path)
    assert numbers(reader, range(8)) == list(range(8))
    with pytest.raises(VideoReadError, match='frames 140 to 149'):
        reader.read(range(140, 150))
    # The reader is of use after that.
    assert numbers(reader, range(4, 12)) == list(range(4, 12))
    with pytest.raises(VideoReadError, match=r'has \d+ frames'):
        reader.read([10, 150])
