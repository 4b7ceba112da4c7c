# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Two recordings joined by "cat a.ts b.ts": times start anew in the middle.

The index keeps the frames of the first part only, at twice the frame rate,
so that every annotation in seconds meets another moment.
"""
from frames import encode, folder, truth, verdict

from mmaction_memvit.video import probe_video

folder()
data = b''
for k in range(2):
    path = encode(f'{k}.ts', 150, first=200 * k)
    data += open(path, 'rb').read()
# Let the packet counters of the second part go on, as those of a recorder.
half = len(data) - len(open('1.ts', 'rb').read())
data, counters = bytearray(data), {}
for i in range(0, len(data), 188):
    pid = (data[i + 1] & 31) << 8 | data[i + 2]
    if data[i + 3] & 16:
        counters[pid] = (counters.get(pid, -1) + 1) % 16
        data[i + 3] = data[i + 3] & 240 | counters[pid]
open('joined.ts', 'wb').write(data)
entry = probe_video('joined.ts')
num = len(truth('joined.ts'))
print('frames decoded from the start:', num, 'at 30 a second')
print('index:', entry)
verdict(entry['num_frames'] != num or abs(entry['fps'] - 30) > 1,
        f'{entry["num_frames"]} of {num} frames, {entry["fps"]:g} a second')
