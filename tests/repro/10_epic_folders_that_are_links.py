# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Folders of participants that are links to other disks.

OnlineEpicDataset finds the videos; check_epic.py says all are missing and
writes no index, and the data set's message sends one to check_epic.py.
"""
import os

from frames import encode, folder, tool, verdict

from mmaction_memvit.datasets import EpicDataset

folder()
os.makedirs('disk2/P01/videos')
os.makedirs('videos')
encode('disk2/P01/videos/P01_01.MP4', 120)
os.symlink('../disk2/P01', 'videos/P01')
open('list.csv', 'w').write(
    'narration_id,participant_id,video_id,start_timestamp,stop_timestamp,'
    'verb_class,noun_class\n'
    'P01_01_0,P01,P01_01,00:00:00.50,00:00:02.00,3,3\n')
data = EpicDataset('list.csv', pipeline=[], data_prefix=dict(video='videos'))
print('the data set finds', len(data), 'segment')
_, said = tool('epic100/check_epic.py', 'list.csv', '--videos', 'videos',
               '--index', 'index.json')
print(said)
verdict('missing: 0' not in said,
        'check_epic.py: missing; index written: '
        f'{os.path.exists("index.json")}')
