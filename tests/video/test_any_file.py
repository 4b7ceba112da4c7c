# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Whatever the file: frames are those of sequential decoding, or it is told.

The kinds of files follow public bug reports; they are made by PyAV alone.
"""
import os
import random
from fractions import Fraction

import av
import numpy as np
import pytest
from helpers.decoding import check, copy_stream, joined, remux, truth
from helpers.fields import field_units
from helpers.videos import turned, write_video
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmaction_memvit.video import (
    DecordReader,
    FrameTable,
    PyAVReader,
    VideoReadError,
    probe_video,
)

CODECS = {'libx264': ('mp4', 'mov', 'mkv', 'ts', 'avi', 'flv'),
          'libx265': ('mp4', 'mkv', 'ts'), 'mpeg4': ('mp4', 'avi', 'mkv'),
          'mpeg2video': ('ts', 'mpg', 'mkv'), 'libvpx': ('webm', ),
          'mpeg1video': ('mpg', ), 'mjpeg': ('avi', 'mov')}


@st.composite
def encodings(draw):
    codec = draw(st.sampled_from(sorted(CODECS)))
    suffix = draw(st.sampled_from(CODECS[codec]))
    options = dict(codec=codec, gop=draw(st.sampled_from([1, 5, 12, 30, 200])),
                   b_frames=draw(st.integers(0, 3)),
                   rate=draw(st.sampled_from([25, 30, 50])))
    if codec == 'libx264':
        options.update(draw(st.sampled_from([
            {}, {'x264-params': 'open-gop=1:scenecut=0'},
            {'x264-params': 'intra-refresh=1'},
            {'flags': '+ildct+ilme'}, {'preset': 'ultrafast'}])))
    if codec == 'mjpeg':
        options.update(pix_fmt='yuvj420p', b_frames=0)
    if codec == 'libx265':
        options['x265-params'] = 'log-level=none:pools=none'
    if suffix in ('mp4', 'mov') and draw(st.booleans()):
        options['container_options'] = {
            'movflags': draw(st.sampled_from([
                'faststart', 'frag_keyframe+empty_moov',
                'frag_keyframe+empty_moov+dash+global_sidx']))}
    # One frame alone is not written by the muxer of mp4.
    least = 2 if codec == 'libx265' else 1
    return suffix, draw(st.integers(least, 100)), options


@settings(max_examples=18, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(encodings(), st.sampled_from(
    ['', '', 'cut', 'edit', 'joined', 'shifted', 'head', 'pts=dts']),
    st.booleans(), st.integers(0, 99))
def test_frames_are_those_of_sequential_decoding(tmp_path, encoding, what,
                                                 goes_on, seed):
    suffix, num, options = encoding
    path = write_video(tmp_path / f'a.{suffix}', num, **options)
    number = random.Random(seed)
    if what == 'edit' and suffix in ('mp4', 'mov', 'mkv'):
        path = remux(path, tmp_path / f'b.{suffix}', number.random() * 2)
    elif what == 'shifted' and suffix in ('mp4', 'mkv', 'ts'):
        path = remux(path, tmp_path / f'b.{suffix}', shift=1.5)
    elif what == 'pts=dts' and suffix in ('mp4', 'mkv'):
        def change(packet):
            packet.pts = packet.dts
        path = remux(path, tmp_path / f'b.{suffix}', change=change)
    elif what in ('cut', 'head') and suffix == 'ts':
        data = open(path, 'rb').read()
        at = 188 * number.randrange(len(data) // 376)
        (tmp_path / 'b.ts').write_bytes(
            data[at:] if what == 'head' else data[:len(data) - at])
        path = str(tmp_path / 'b.ts')
    elif what == 'joined' and suffix == 'ts':
        other = write_video(tmp_path / 'c.ts', num, first=300, **options)
        path = joined(path, other, tmp_path / 'b.ts', goes_on)
    try:
        numbers = truth(path)[0]
    except av.FFmpegError:
        numbers = []
    if not numbers:
        assert probe_video(path)['problem']
        return
    check(path, seed)


def test_joined_recordings(tmp_path):
    for name, first in (('a.ts', 0), ('b.ts', 200)):
        write_video(tmp_path / name, 100, first=first)
    for goes_on in (False, True):
        entry = check(joined(tmp_path / 'a.ts', tmp_path / 'b.ts',
                             tmp_path / 'c.ts', goes_on))
        assert entry['num_frames'] == 200
        assert entry['fps'] == 30 and 'backwards' in entry['problem']
    # With a pause between them, frames per second are but a mean.
    later = remux(tmp_path / 'b.ts', tmp_path / 'd.ts', shift=60.)
    entry = check(joined(tmp_path / 'a.ts', later, tmp_path / 'c.ts', True))
    assert 'jump' in entry['problem'] and 'Remedy' in entry['problem']


def test_hidden_pictures_of_vp8(tmp_path):
    # RFC 6386, 9.1: the fifth bit tells whether a picture is shown. What two
    # passes of the encoder make of alternate reference frames.
    path = write_video(tmp_path / 'a.webm', 60, codec='libvpx', gop=30)
    data = bytearray(open(path, 'rb').read())
    with av.open(path) as container:
        packets = [bytes(p) for p in container.demux(video=0) if p.size]
    for i in range(7, 60, 10):
        data[data.index(packets[i])] &= ~16
    (tmp_path / 'b.webm').write_bytes(data)
    entry = check(tmp_path / 'b.webm')
    assert entry['num_frames'] == 54
    assert FrameTable(entry).not_by_decord


@pytest.mark.parametrize('suffix', ['mkv', 'ts', 'mp4'])
@pytest.mark.parametrize('whole', [
    (), range(60), (*range(50), *range(55, 90)), (*range(50), *range(120, 140))
])
def test_pictures_of_two_fields(tmp_path, suffix, whole):
    # The first and last frames, which are compared with the decoder, may be
    # whole.
    num = max([90, *whole]) + 1
    units = list(field_units(num, whole=whole))
    raw, path = tmp_path / 'a.h264', str(tmp_path / f'a.{suffix}')
    raw.write_bytes(b''.join(sum(units, [])))
    with av.open(str(raw)) as src, av.open(path, 'w') as out:
        stream = src.streams.video[0]
        copied = copy_stream(out, stream)
        times = [2 * i + k for i, x in enumerate(units) for k in range(len(x))]
        packets = [p for p in src.demux(stream) if p.size]
        assert len(packets) == len(times)
        for packet, packet.pts in zip(packets, times):
            packet.dts = packet.pts
            packet.time_base = Fraction(1, 60)
            packet.stream = copied
            out.mux(packet)
    entry = check(path)
    assert entry['num_frames'] == num
    assert entry['fps'] == pytest.approx(30, abs=0.01)


def test_pictures_begin_after_time_0(tmp_path):
    # "ffmpeg -ss 3 -i IN -c copy OUT": sound from there on, pictures from the
    # next keyframe on.
    path = str(tmp_path / 'a.mkv')
    with av.open(path, 'w') as out:
        stream = out.add_stream('libx264', rate=30)
        stream.width = stream.height = 64
        stream.pix_fmt = 'yuv420p'
        sound = out.add_stream('pcm_s16le', rate=8000)
        for i in range(6):
            frame = av.AudioFrame('s16', sound.layout.name, 8000)
            frame.sample_rate, frame.pts = 8000, 8000 * i
            frame.time_base = Fraction(1, 8000)
            out.mux(sound.encode(frame))
        for i in range(90):
            frame = av.VideoFrame(64, 64, 'yuv420p')
            frame.pts = 60 + i
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        out.mux(sound.encode())
    entry = probe_video(path)
    assert entry['start'] == entry['time_drift'] == pytest.approx(2, abs=0.05)
    table = FrameTable(entry)
    assert entry['fps'] == 30 and table.frame_at(3.001) == 30


@pytest.mark.parametrize('degrees, quarters', [(90, 3), (180, 2), (270, 1)])
def test_turned_pictures(tmp_path, degrees, quarters):
    path = write_video(tmp_path / 'a.mp4', 20, width=96)
    lying = PyAVReader(path).read([7])[0]
    turned(path, degrees)
    entry = probe_video(path)
    image, = PyAVReader(path).read([7])
    # 90 degrees clockwise are three quarters the other way.
    np.testing.assert_array_equal(image, np.rot90(lying, quarters))
    assert image.shape == (entry['height'], entry['width'], 3)
    scaled, = PyAVReader(path).read([7], (32, 40))
    assert scaled.shape == (40, 32, 3)
    pytest.importorskip('decord')
    theirs, = DecordReader(path).read([7])
    assert np.abs(theirs.astype(int) - image).max() <= 8


def test_pixels_that_are_not_square(tmp_path):
    pytest.importorskip('decord')
    path = str(tmp_path / 'a.mp4')
    with av.open(path, 'w') as out:
        stream = out.add_stream('libx264', rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 64, 'yuv420p'
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for _ in range(5):
            out.mux(stream.encode(av.VideoFrame(96, 64, 'yuv420p')))
        out.mux(stream.encode())
    entry = probe_video(path)
    assert (entry['width'], entry['height']) == (128, 64)
    for reader in (PyAVReader, DecordReader):
        assert reader(path).read([2])[0].shape == (64, 128, 3)


@pytest.mark.parametrize('name, options', [
    ('a.mp4', dict(codec='libx265', **{'x265-params': 'log-level=none'})),
    ('b.mp4', {'x264-params': 'open-gop=1:scenecut=0', 'b_frames': 3}),
    ('c.avi', {}),
    ('d.ts', {}),
])
def test_decord_refuses_what_it_numbers_wrongly(tmp_path, name, options):
    pytest.importorskip('decord')
    path = write_video(tmp_path / name, 60, gop=24, **options)
    with pytest.raises(VideoReadError, match='pyav'):
        DecordReader(path)


def test_streams_without_times_and_names_with_colons(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.rename(write_video(tmp_path / 'a.h264', 40), '12:30:45.h264')
    entry = check('12:30:45.h264')
    assert 'Remedy' in entry['problem']
