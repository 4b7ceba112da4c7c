# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""A cut without encoding: sound from the cut on, picture from a keyframe on.

"ffmpeg -i IN -ss 3 -t 20 -c copy OUT" and cutters without loss make these.
In a player, and for ffmpeg -ss, time 0 is where the sound starts. Here it is
the first picture, seconds later, and nobody is told.
"""
import subprocess

import numpy as np
from frames import encode, ffmpeg, folder, shown, verdict

from mmaction_memvit.video import PyAVReader, probe_video

folder()
encode('whole.mp4', 900, '-c:v', 'libx264', '-g', '250', '-keyint_min', '250',
       '-sc_threshold', '0', '-pix_fmt', 'yuv420p', '-c:a', 'aac', sound=True)
ffmpeg('-i', 'whole.mp4', '-ss', '3', '-t', '20', '-c', 'copy', 'cut.mp4')
raw = subprocess.run(
    ['ffmpeg', '-loglevel', 'quiet', '-ss', '10', '-i', 'cut.mp4', '-frames:v',
     '1', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'],
    capture_output=True, check=True).stdout
player = shown(np.frombuffer(raw, np.uint8).reshape(64, 96, 3))
entry = probe_video('cut.mp4')
print('index:', entry)
ours = shown(PyAVReader('cut.mp4').read([round(10 * entry['fps'])])[0])
print(f'at 10 s ffmpeg shows frame {player} of the original, we {ours}')
verdict(abs(player - ours) > 15 and not {'problem', 'time_drift'} & set(entry),
        f'{(ours - player) / 30:.1f} s beside the annotation, without a word')
