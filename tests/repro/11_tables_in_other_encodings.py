# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Tables as Excel saves them: Windows-1252 and UTF-16.

The messages name no file, and one tool ends with a traceback.
"""
from frames import encode, folder, tool, verdict

folder()
encode('a.mp4', 60)
table = 'video,time,x1,y1,x2,y2,label,split\na.mp4,0,1,1,9,9,caf\xe9,train\n'
open('boxes.csv', 'wb').write(table.encode('cp1252'))
open('boxes16.csv', 'wb').write(table.encode('utf-16'))
open('list.txt', 'wb').write('caf\xe9.mp4 0\n'.encode('cp1252'))
open('ava.csv', 'wb').write('caf\xe9,0,.1,.1,.9,.9,1\n'.encode('cp1252'))
bad = 0
for name, *args in (
    ('ava/make_ava_style.py', 'boxes.csv', '--video-root', '.', '--out', 'o'),
    ('ava/make_ava_style.py', 'boxes16.csv', '--video-root', '.', '--out',
     'o'),
    ('ava/prepare_ava.py', 'ava.csv', '--videos', '.', '--out', 'i.json'),
    ('build_video_index.py', 'list.txt', '--data-root', '.', '--out',
     'i.json')):
    _, said = tool(name, *args)
    last = said.strip().splitlines()[-1]
    trace = 'Traceback' in said
    print(f'{name} {args[0]}: {"TRACEBACK " if trace else ""}{last}')
    bad += trace or args[0] not in last
verdict(bad, f'{bad} of 4 messages are tracebacks or do not name the file')
