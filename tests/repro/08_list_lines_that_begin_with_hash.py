# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""A class, or a title, that begins with #: its videos vanish from the list.

make_video_list.py writes the lines, the reader takes them for comments.
"""
import os

from frames import encode, folder, tool, verdict

from mmaction_memvit.annotations.video_list import read_video_list

folder()
for name in ('#fails', 'goals'):
    os.makedirs(f'videos/{name}')
    for i in range(4):
        encode(f'videos/{name}/{i}.mp4', 3)
code, _ = tool('make_video_list.py', 'videos', '--out', 'lists')
assert code == 0
written = sum(len(open(f'lists/{x}.txt').readlines()) for x in ('train',
                                                                'val'))
found = sum(len(read_video_list(f'lists/{x}.txt')) for x in ('train', 'val'))
print(f'{written} lines written, {found} read')
verdict(written != found, f'{written - found} of {written} videos are gone, '
        'a whole class, without a word')
