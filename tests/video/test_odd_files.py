# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Files that lack something or lie: right pictures and times, or told."""
import av
import numpy as np
import pytest
from helpers.decoding import check, copy_stream, joined, truth
from helpers.videos import read_number, write_video

from mmaction_memvit.video import PyAVReader, probe_video
from mmaction_memvit.video.live import LiveSource


def rewrite(source, target, change):
    """Copies a file's packets as ``change(number, packet)`` gives them."""
    with av.open(str(source)) as src, av.open(str(target), 'w') as out:
        stream = src.streams.video[0]
        copied = copy_stream(out, stream)
        for i, packet in enumerate(src.demux(stream)):
            if packet.dts is not None:
                for new in change(i, packet):
                    new.stream = copied
                    out.mux(new)
    return str(target)


@pytest.mark.parametrize('name, options', [
    ('a.mp4', dict(codec='libsvtav1', preset='12',
                   **{'svtav1-params': 'lp=1:keyint=40'})),
    # Pictures without a time of their own.
    ('a.mpg', dict(codec='mpeg1video', gop=12)),
])
def test_each_picture_alone(tmp_path, name, options):
    if options['codec'] not in av.codecs_available:
        pytest.skip('PyAV has no encoder of AV1')
    path = write_video(tmp_path / name, 75, **options)
    check(path)
    numbers, reader = truth(path)[0], PyAVReader(path)
    for i in range(74, -1, -7):
        assert read_number(reader.read([i])[0]) == numbers[i]


def test_packets_of_mpeg4_without_a_picture(tmp_path):
    path = write_video(tmp_path / 'a.mkv', 150, codec='mpeg4', b_frames=0)

    def change(i, packet):
        if 60 < i < 100 and i % 3 and not packet.is_keyframe:
            # ISO 14496-2, 6.2.5: type, time of 5 bits, vop_coded 0.
            data = bytes(packet)[:6]
            new = av.Packet(data[:5] + bytes([data[5] & 0xc0 | 0xf]))
            new.pts, new.dts, new.time_base = (packet.pts, packet.dts,
                                               packet.time_base)
            packet = new
        yield packet

    entry = check(rewrite(path, tmp_path / 'b.mkv', change))
    assert entry['num_frames'] < 150 and 'time_drift' in entry


def test_index_of_an_avi_is_damaged(tmp_path):
    path = tmp_path / 'a.avi'
    write_video(path, 90, codec='mpeg4', b_frames=0)
    data = bytearray(path.read_bytes())
    at = data.rindex(b'idx1') + 8
    # The offset of one keyframe becomes that of another one.
    entries = [at + 16 * i + 8 for i in (24, 84)]
    data[entries[0]:entries[0] + 4] = data[entries[1]:entries[1] + 4]
    path.write_bytes(data)
    numbers, reader = truth(path)[0], PyAVReader(str(path))
    for i in (25, 50, 85, 30):
        assert read_number(reader.read([i])[0]) == numbers[i]


def test_lost_packets_before_time_0(tmp_path):
    # The clock of MPEG-TS, of 33 bits, starts anew behind the damage.
    path = tmp_path / 'a.ts'
    write_video(path, 240, times=[2863190 + i for i in range(240)])
    data = path.read_bytes()
    half = len(data) // 376 * 188
    path.write_bytes(data[:half] + data[half + 6 * 188:])
    numbers, reader = truth(path)[0], PyAVReader(str(path))
    assert probe_video(str(path))['problem']
    for clip in ([216, 220], [130], [20, 22], [200], [80, 84]):
        assert list(map(read_number, reader.read(clip))) == [
            numbers[i] for i in clip]


def test_turned_by_the_first_picture_alone(tmp_path):
    path = write_video(tmp_path / 'a.mp4', 20, width=96)
    lying = PyAVReader(path).read([7])[0]
    with av.open(path) as container:
        bsf = av.bitstream.BitStreamFilterContext(
            'h264_metadata=display_orientation=insert:rotate=90',
            container.streams.video[0])
        turned = rewrite(path, tmp_path / 'b.mp4',
                         lambda i, packet: bsf.filter(packet))
    entry = probe_video(turned)
    assert (entry['width'], entry['height']) == (64, 96)
    image, = PyAVReader(turned).read([7])
    np.testing.assert_array_equal(image, np.rot90(lying))
    assert {x.image.shape for x in LiveSource(turned)} == {image.shape}


def test_a_part_of_the_frames_is_shown(tmp_path):
    path = tmp_path / 'a.mp4'
    write_video(path, 120)
    data = bytearray(path.read_bytes())
    # ISO 14496-12, 8.6.6: an edit of 2 s.
    at = data.index(b'elst') + 12
    data[at:at + 4] = (2000).to_bytes(4, 'big')
    path.write_bytes(data)
    entry = check(path)
    assert entry['num_frames'] == 60 and 'problem' not in entry


def test_rate_of_times_in_milliseconds(tmp_path):
    # ASF says 33 ms a frame.
    entry = check(write_video(tmp_path / 'a.asf', 400, preset='ultrafast'))
    assert entry['fps'] == pytest.approx(30, abs=0.05)


def test_other_streams_and_codecs_are_told(tmp_path):
    first = write_video(tmp_path / 'a.ts', 30)
    second = write_video(tmp_path / 'b.ts', 30, container_options={
        'mpegts_start_pid': '512', 'mpegts_pmt_start_pid': '4352'})
    entry = probe_video(joined(first, second, tmp_path / 'c.ts', False))
    assert 'Remedy' in entry['problem']
    path = tmp_path / 'a.mp4'
    write_video(path, 30)
    path.write_bytes(path.read_bytes().replace(b'avc1', b'xyz1'))
    assert 'codec' in probe_video(str(path))['problem']
