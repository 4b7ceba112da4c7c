# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""An mp4 as DASH servers give it (fragments and a sidx box in front).

What "bestvideo" of a download tool is, if no sound is merged into it. The
index counts all frames, the reader knows those of the first fragments only.
"""
from frames import encode, folder, read, truth, verdict

from mmaction_memvit.video import PyAVReader, probe_video

folder()
path = encode('a.mp4', 300, '-c:v', 'libx264', '-g', '30', '-pix_fmt',
              'yuv420p', '-movflags',
              'frag_keyframe+empty_moov+dash+global_sidx')
print('frames decoded from the start:', len(truth(path)))
print('index:', probe_video(path)['num_frames'])
reader = PyAVReader(path)
print('reader:', reader.num_frames)
found = read(reader, [0, 29, 100, 299])
print('frames 0, 29, 100, 299:', found)
verdict(found != [0, 29, 100, 299], 'index and reader disagree; all but the '
        'start of the video cannot be read')
