# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""One long video with many labelled segments: clips x segments in memory.

Twice the length is four times the memory and time, in every process. A day
of video with 8,000 segments takes 10 GB and half a minute.
"""
import json
import time
import tracemalloc

from frames import folder, verdict

from mmaction_memvit.datasets import OnlineVideoDataset

folder()
used = {}
for hours in (2, 4, 8):
    num = 360 * hours
    json.dump({'a.mp4': dict(num_frames=hours * 108000, fps=30.)},
              open('index.json', 'w'))
    open('list.txt', 'w').writelines(
        f'a.mp4 {10 * i} {10 * i + 3} {i % 9}\n' for i in range(num))
    tracemalloc.start()
    begin = time.time()
    data = OnlineVideoDataset(
        'list.txt', pipeline=[], index_file='index.json',
        ann_format='segments', num_classes=9, missing_video='unchecked')
    size = len(data)
    used[hours] = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    print(f'{hours} h, {num} segments, {size} clips: {used[hours]:.0f} MiB, '
          f'{time.time() - begin:.1f} s')
verdict(used[8] > 8 * used[2], f'4 times the video, {used[8] / used[2]:.0f} '
        'times the memory')
