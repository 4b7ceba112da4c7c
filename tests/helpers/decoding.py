# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Readers compared with decoding from the first frame to the last."""
import os
import random

import av
import numpy as np

from mmaction_memvit.video import FrameTable, PyAVReader, probe_video

from .videos import read_number


def truth(path):
    """Numbers and times of the frames, decoded from first to last."""
    numbers, times = [], []
    with av.open(os.path.abspath(path)) as container:
        for frame in container.decode(video=0):
            numbers.append(read_number(frame.to_ndarray(format='rgb24')))
            times.append(frame.time)
        zero = container.start_time
    return numbers, times, 0 if zero is None else zero / 1e6


def check(path, seed=0):
    """Compares the reader with sequential decoding; returns the entry."""
    path = str(path)
    numbers, times, zero = truth(path)
    entry = probe_video(path)
    assert entry['num_frames'] == len(numbers), entry
    if 'problem' not in entry and len(numbers) > 1 and None not in times:
        # A rate that many frames have, so that a second is a second.
        usual = np.median(np.diff(np.sort(times)))
        assert abs(entry['fps'] * usual - 1) < 0.25 or 'time_drift' in entry
        table = FrameTable(entry)
        if not table.is_counted and not path.endswith('.avi'):
            np.testing.assert_allclose(
                table.seconds, np.subtract(times, zero), atol=1e-5)
            assert table.seconds[0] < 0.1 or 'start' in entry
    rng = random.Random(seed)
    reader = PyAVReader(path, table=FrameTable(entry))
    size = (entry['height'], entry['width'], 3)
    for _ in range(6):
        start = rng.randrange(len(numbers))
        step = rng.choice([1, 2, 4])
        # A clip and the one that follows it.
        for first in (start, start + 5 * step):
            clip = range(min(first, len(numbers) - 1),
                         min(first + 5 * step, len(numbers)), step)
            images = reader.read(clip)
            assert [read_number(x) for x in images] == [
                numbers[i] for i in clip]
            assert images[0].shape == size
    return entry


def copy_stream(out, stream):
    """A stream of a new file for packets of another one."""
    if hasattr(out, 'add_stream_from_template'):
        return out.add_stream_from_template(stream)
    return out.add_stream(template=stream)


def remux(source, target, begin=0., shift=0., change=lambda packet: None,
          **options):
    """Copies the packets from a time on, as "ffmpeg -c copy" does."""
    with av.open(str(source)) as src, av.open(
            str(target), 'w', options=options) as out:
        stream = src.streams.video[0]
        copied = copy_stream(out, stream)
        ticks = round(begin / stream.time_base)
        src.seek(ticks, stream=stream)
        for packet in src.demux(stream):
            if packet.dts is None or change(packet) == 'drop':
                continue
            move = round((shift - begin) / packet.time_base)
            packet.pts += move
            packet.dts += move
            packet.stream = copied
            out.mux(packet)
    return str(target)


def joined(first, second, target, counters_go_on):
    """Two transport streams, one after the other."""
    data = bytearray(open(first, 'rb').read() + open(second, 'rb').read())
    counters = {}
    for i in range(0, len(data) if counters_go_on else 0, 188):
        pid = (data[i + 1] & 31) << 8 | data[i + 2]
        if data[i + 3] & 16:
            counters[pid] = (counters.get(pid, -1) + 1) % 16
            data[i + 3] = data[i + 3] & 240 | counters[pid]
    target.write_bytes(data)
    return str(target)
