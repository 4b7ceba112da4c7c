# Copyright (c) mmaction_memvit contributors. All rights reserved.
import csv
import os

import av
import numpy as np
import pytest
from helpers.videos import need_shared_data, truncate, write_video

from mmaction_memvit.video import FrameTable, PyAVReader, probe_video


@pytest.mark.parametrize('decode', [False, True])
@pytest.mark.parametrize('name, kwargs', [
    ('a.mp4', {}),
    ('a.mkv', {}),
    ('a.ts', {}),
    ('a.avi', dict(codec='mpeg4', b_frames=0)),
    ('b.avi', {}),
])
def test_sound_videos(tmp_path, name, kwargs, decode):
    path = write_video(tmp_path / name, 50, rate=25, width=96, **kwargs)
    entry = probe_video(path, decode)
    table = FrameTable(entry)
    assert np.allclose(table.seconds, np.arange(50) / 25, atol=1e-3)
    assert [table.frame_at(x) for x in (-1, 0, .041, 1, 9)] == [0, 0, 1, 25,
                                                                49]
    del entry['table']
    assert entry == dict(num_frames=50, fps=25., width=96, height=64,
                         size=os.path.getsize(path))


def test_variable_rate(tmp_path):
    times = list(range(60)) + list(range(60, 240, 3))
    entry = probe_video(write_video(tmp_path / 'a.mp4', 120, times=times))
    assert entry['num_frames'] == 120
    assert entry['fps'] == pytest.approx(119 / (times[-1] / 30), rel=1e-4)
    # Frame 59 is shown at 59 / 30 s, not at 59 / fps.
    assert entry['time_drift'] == pytest.approx(
        59 / entry['fps'] - 59 / 30, abs=0.05)


def test_cut_off(tmp_path):
    whole = write_video(
        tmp_path / 'a.mp4', 200, container_options={'movflags': 'faststart'})
    path = truncate(whole, tmp_path / 'b.mp4', 0.7)
    entry = probe_video(path)
    assert 20 < entry['num_frames'] < 200
    assert 'of 200 frames' in entry['problem']
    # All that is announced can be read.
    PyAVReader(path).read(range(entry['num_frames']))
    assert probe_video(path, decode=True)['num_frames'] >= entry['num_frames']


@pytest.mark.parametrize('decode', [False, True])
@pytest.mark.parametrize('name, codec', [('a.mkv', 'libx264'),
                                         ('a.webm', 'libvpx')])
def test_cut_off_matroska(tmp_path, name, codec, decode):
    whole = write_video(tmp_path / name, 120, codec=codec)
    assert 'problem' not in probe_video(whole, decode)
    entry = probe_video(truncate(whole, tmp_path / f'cut_{name}'), decode)
    assert 0 < entry['num_frames'] < 120
    assert 'cut off after' in entry['problem']
    assert 'of 4.00 s' in entry['problem']


def test_sound_may_be_longer_than_the_video(tmp_path):
    path = str(tmp_path / 'a.mkv')
    with av.open(path, 'w') as out:
        stream = out.add_stream('libx264', rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = 'yuv420p'
        sound = out.add_stream('pcm_s16le', rate=8000)
        for _ in range(50):
            out.mux(stream.encode(av.VideoFrame(64, 64, 'yuv420p')))
        out.mux(stream.encode())
        for i in range(5):
            frame = av.AudioFrame('s16', sound.layout.name, 8000)
            frame.sample_rate, frame.pts = 8000, 8000 * i
            out.mux(sound.encode(frame))
        out.mux(sound.encode())
    with av.open(path) as container:
        assert container.duration == 5_000_000
    entry = probe_video(path)
    assert entry['num_frames'] == 50 and 'problem' not in entry


def test_damage_in_the_middle_is_found_by_decoding(tmp_path):
    path = tmp_path / 'a.mp4'
    write_video(path, 200, container_options={'movflags': 'faststart'})
    data = bytearray(path.read_bytes())
    middle = len(data) * 2 // 3
    data[middle:middle + 600] = b'\xff' * 600
    path.write_bytes(data)
    assert 'problem' not in probe_video(str(path))
    entry = probe_video(str(path), decode=True)
    assert 0 < entry['num_frames'] < 200
    assert 'decoding fails after' in entry['problem']


def test_unreadable(tmp_path):
    (tmp_path / 'text.mp4').write_text('no video')
    (tmp_path / 'empty.mp4').touch()
    whole = write_video(tmp_path / 'a.mp4', 20)
    truncate(whole, tmp_path / 'headless.mp4', 0.3)
    for name in ('text.mp4', 'empty.mp4', 'headless.mp4', 'absent.mp4'):
        entry = probe_video(str(tmp_path / name))
        assert entry['num_frames'] == 0
        assert 'cannot be read' in entry['problem']
        assert ('is empty' in entry['problem']) == (name == 'empty.mp4')


def test_jhmdb_headers_are_wrong_and_not_believed():
    folder = need_shared_data('jhmdb')
    with open(folder / 'labels.csv', newline='') as f:
        rows = list(csv.DictReader(f))[::25]
    boxes = {}
    with open(folder / 'boxes.csv', newline='') as f:
        for row in csv.reader(f):
            boxes[row[1]] = boxes.get(row[1], 0) + 1
    wrong = 0
    for row in rows:
        path = folder / row['path']
        entry = probe_video(str(path))
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            announced = stream.frames
            decoded = sum(1 for _ in container.decode(stream))
        wrong += announced != decoded
        assert entry['num_frames'] == decoded
        assert 'problem' not in entry
        assert 'time_drift' not in entry
        if path.stem in boxes:
            # One box a frame.
            assert boxes[path.stem] == decoded
    assert wrong == len(rows)
