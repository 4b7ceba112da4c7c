# Copyright (c) mmaction_memvit contributors. All rights reserved.
import http.server
import threading
import time
import wave
from functools import partial

import cv2
import numpy as np
import pytest
from helpers.cameras import Camera
from helpers.videos import (
    number_image,
    read_number,
    truncate,
    turned,
    write_video,
)

from mmaction_memvit.video import VideoReadError
from mmaction_memvit.video.live import Frame, Gap, LiveSource, at_rate


def numbers(frames) -> list:
    return [read_number(getattr(x, 'image', x)) for x in frames]


def test_files_and_folders(tmp_path):
    path = write_video(tmp_path / '12:30.mkv', 20, rate=25)
    source = LiveSource(path)
    frames = list(source)
    assert numbers(frames) == list(range(20)) and source.fps == 25
    assert frames[5].seconds == pytest.approx(0.2, abs=1e-3)
    assert source.num_frames == 20 and not source.problem
    assert numbers(at_rate(frames, 25., 1.)) == list(range(20))
    folder = tmp_path / 'frames'
    folder.mkdir()
    for i in (10, 9, 100):
        cv2.imwrite(str(folder / f'f_{i}.png'), number_image(i))
    (folder / 'notes.txt').write_text('')
    source = LiveSource(str(folder), fps=5.)
    assert numbers(source) == [9, 10, 100] and source.fps == 5
    (folder / '004.jpg').write_bytes(b'no picture')
    with pytest.raises(VideoReadError, match='004.jpg'):
        list(LiveSource(str(folder)))


def test_one_rate_whatever_the_source_does(tmp_path):
    # A variable rate: 40 pictures a second, then 10.
    times = [*range(0, 20), *range(20, 60, 4)]
    path = write_video(tmp_path / 'a.mp4', 30, rate=40, times=times)
    got = numbers(at_rate(LiveSource(path), 20., 1.))
    shown = [np.searchsorted(times, 2 * k, 'right') - 1 for k in range(29)]
    assert got == shown

    def at(*seconds, fps=10., longest=1.):
        frames = [Frame(number_image(i), x) for i, x in enumerate(seconds)]
        return [x if isinstance(x, Gap) else read_number(x)
                for x in at_rate(frames, fps, longest)]

    # Jitter of a camera, and a clock that does not begin at 0.
    assert at(7., 7.098, 7.203, 7.297) == [0, 1, 2, 3]
    # Too many pictures: the nearest ones.
    assert at(*np.arange(7) / 30) == [0, 3, 6]
    assert at(0, .1, .5, .6) == [0, 1, 1, 1, 1, 2, 3]
    assert at(0, .1, 2.5) == [0, 1, Gap(23), 2]
    # A stream that starts anew goes on.
    assert at(50., 50.1, 0., .1, .2) == [0, 1, 2, 3, 4]


def test_turned_and_changed_pictures(tmp_path):
    path = write_video(tmp_path / 'phone.mp4', 10, width=96)
    turned(path, 90)
    assert next(iter(LiveSource(path))).image.shape == (96, 64, 3)
    parts = [write_video(tmp_path / f'{i}.ts', 10, first=10 * i, width=width)
             for i, width in enumerate((64, 96))]
    joined = tmp_path / 'joined.ts'
    joined.write_bytes(b''.join(open(x, 'rb').read() for x in parts))
    frames = list(LiveSource(str(joined)))
    assert {x.image.shape for x in frames} == {(64, 64, 3), (64, 96, 3)}
    assert numbers(frames)[-10:] == list(range(10, 20))


def test_sources_that_do_not_hold_what_they_promise(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.mp4'):
        LiveSource(str(tmp_path / 'none.mp4'))
    with wave.open(str(tmp_path / 'sound.wav'), 'wb') as f:
        f.setparams((1, 2, 8000, 0, 'NONE', ''))
        f.writeframes(bytes(1600))
    for name, data in (('sound.wav', None), ('junk.mp4', b'junk' * 99)):
        if data:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(VideoReadError, match=name):
            LiveSource(str(tmp_path / name))
    (tmp_path / 'empty').mkdir()
    with pytest.raises(VideoReadError, match='empty'):
        LiveSource(str(tmp_path / 'empty'))
    whole = write_video(tmp_path / 'whole.mkv', 60, gop=4)
    source = LiveSource(truncate(whole, tmp_path / 'cut.mkv'))
    found = numbers(source)
    # What is left of the last group may lack what it refers to.
    assert 10 < len(found) < 60 and found[:10] == list(range(10))


def test_addresses(tmp_path):
    write_video(tmp_path / 'a.mp4', 12)
    write_video(tmp_path / 'a.mjpeg', 12, codec='mjpeg', b_frames=0,
                pix_fmt='yuvj420p')
    handler = partial(
        http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *args: None
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f'http://127.0.0.1:{server.server_port}'
        # A film waits for who watches it, a stream without end does not.
        source = LiveSource(f'{address}/a.mp4', buffer_seconds=0.1)
        assert not source.is_live and numbers(source) == list(range(12))
        source = LiveSource(f'{address}/a.mjpeg')
        assert source.is_live and len(list(source)) == 12
        with pytest.raises(VideoReadError, match='b.mp4'):
            LiveSource(f'{address}/b.mp4')
        server.shutdown()
    with pytest.raises(VideoReadError, match='check'):
        LiveSource(f'{address}/a.mp4')


@pytest.mark.parametrize('hangs', [False, True])
def test_a_camera_that_tells_no_rate_and_stops(monkeypatch, hangs):
    monkeypatch.setattr(cv2, 'VideoCapture', Camera)
    monkeypatch.setattr(Camera, 'hangs', hangs)
    source = LiveSource(0, patience=0.5)
    assert 20 < source.fps < 51
    assert numbers(source) == list(range(1, 21))
    assert ('no picture' if hangs else 'camera') in source.problem
    with pytest.raises(VideoReadError, match='camera 1'):
        LiveSource('1')


def test_real_time_and_late_frames(tmp_path):
    path = write_video(tmp_path / 'a.mp4', 30, rate=30)
    begin = time.monotonic()
    source = LiveSource(path, realtime=True)
    assert numbers(source) == list(range(30)) and not source.num_dropped
    assert 0.9 < time.monotonic() - begin < 3
    source = LiveSource(path, realtime=True, buffer_seconds=0.2)
    found = []
    for frame in source:
        found.append(read_number(frame.image))
        if len(found) == 3:
            # The model is busy.
            time.sleep(0.5)
    assert source.num_frames == 30 == len(found) + source.num_dropped
    # What is dropped is in one piece.
    steps = np.diff(found)
    assert source.num_dropped >= 6 and (steps > 1).sum() <= 2
