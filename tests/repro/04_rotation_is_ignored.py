# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""A phone's portrait video: stored lying, with the order to turn it.

ffmpeg, decord and so MMAction2's DecordDecode turn it; LoadVideoClip with
PyAV does not, and the index names the stored size.
"""
import struct

from frames import encode, folder, verdict

from mmaction_memvit.datasets.transforms import LoadVideoClip
from mmaction_memvit.video import probe_video

folder()
encode('lying.mp4', 30)
# What "-metadata:s:v rotate=90" of ffmpeg 4 and 5 does: the matrix of the
# track's header.
data = bytearray(open('lying.mp4', 'rb').read())
at = data.index(b'tkhd') + 44
data[at:at + 36] = struct.pack('>9i', 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0,
                               1 << 30)
open('a.mp4', 'wb').write(data)
entry = probe_video('a.mp4')
print('index: width', entry['width'], 'height', entry['height'])
shapes = {}
for backend in ('pyav', 'decord'):
    load = LoadVideoClip(backend=backend)
    shapes[backend] = load(dict(filename='a.mp4', frame_inds=[3]))['img_shape']
    print(backend, 'height, width:', shapes[backend])
verdict(not shapes['pyav'] == shapes['decord'] == (96, 64),
        'the same file lies on its side '
        'with one backend and stands with the other')
