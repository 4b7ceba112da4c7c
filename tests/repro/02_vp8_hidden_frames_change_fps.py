# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""WebM of a two-pass VP8 encoder: packets that are never shown.

Each alternate reference frame is a packet of its own with the time of the
next one. The index counts it as a frame, so that num_frames and fps are too
high, and seconds of annotations meet other frames, more so later on.
"""
from frames import ffmpeg, folder, truth, verdict

from mmaction_memvit.video import probe_video

folder()
# Something that moves, or the encoder makes no such frames.
ffmpeg('-f', 'lavfi', '-i', 'testsrc2=s=320x240:r=30:d=20', 'in.mkv')
for number in (1, 2):
    ffmpeg('-i', 'in.mkv', '-c:v', 'libvpx', '-b:v', '300k', '-g', '120',
           '-auto-alt-ref', '1', '-lag-in-frames', '25', '-deadline', 'good',
           '-cpu-used', '4', '-pass', number, '-passlogfile', 'log',
           *(('-f', 'null', '-') if number == 1 else ('a.webm', )))
num = len(truth('a.webm'))
entry = probe_video('a.webm')
print('frames decoded from the start:', num, 'at 30 a second')
print('index:', entry)
at = 18.0
print(f'{at} s is frame {round(at * 30)}; by the index, frame '
      f'{round(at * entry["fps"])}, '
      f'{round(at * entry["fps"]) / 30 - at:+.2f} s')
verdict(entry['num_frames'] != num, f'{entry["num_frames"] - num} frames too '
        'many, and nothing is said')
