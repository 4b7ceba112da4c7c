# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Labels 0, 2 and 5: line k of classes.txt is not the name of label k."""
from frames import encode, folder, tool, verdict

folder()
rows = ['path,label,class,source_group']
for i, (label, name) in enumerate([(0, 'walk'), (2, 'sit'), (5, 'run')] * 2):
    encode(f'{i}.mp4', 3)
    rows.append(f'{i}.mp4,{label},{name},{i}')
open('table.csv', 'w').write('\n'.join(rows) + '\n')
code, said = tool('make_video_list.py', 'table.csv', '--out', 'lists')
assert code == 0, said
names = open('lists/classes.txt').read().split()
print('classes.txt:', names)
said = names[2] if len(names) > 2 else None
verdict(said != 'sit', f"label 2 is 'sit', the file calls it {said!r}; "
        'label 5 has no name')
