# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Odd names, links, quotes and rates: what is said about them."""
import os
import shutil
import unicodedata

from frames import encode, folder, tool, verdict

from mmaction_memvit.video import probe_video

folder()
os.makedirs('v')
encode('v/a.mp4', 60)
bad = 0


def last_words(what, name, *args):
    """Runs a tool and shows the last line of what it says."""
    code, said = tool(name, *args)
    text = said.strip().splitlines() if code is not None else [
        '(nothing for 60 s, stopped)']
    print(f'{what}:\n   ' + '\n   '.join(x[:150] for x in text[-3:]))
    return '\n'.join(text)


head = 'video,time,x1,y1,x2,y2,label,split\n'
shutil.copy('v/a.mp4', '12:30:45.mp4')
problem = probe_video('12:30:45.mp4').get('problem', '')
print('relative path with colons:', problem)
bad += 'Protocol' in problem

row = 'a.mp4,0,1,1,9,9,run,train\n'
open('quote.csv', 'w').write(head + 'a.mp4,0,1,1,9,9,"run,train\n'
                             + row * 6000)
bad += 'Traceback' in last_words(
    'a quote that is not closed', 'ava/make_ava_style.py', 'quote.csv',
    '--video-root', 'v', '--out', 'o')

os.makedirs('mac')
name = 'caf\xe9.mp4'
encode('mac/' + unicodedata.normalize('NFD', name), 5)
open('mac.csv', 'w').write(head + f'{name},0,1,1,9,9,run,train\n')
bad += 'is not under' in last_words(
    'a name from a Mac (two code points for an e with accent)',
    'ava/make_ava_style.py', 'mac.csv', '--video-root', 'mac', '--out', 'o')

os.makedirs('links')
encode('links/a.mp4', 5)
for link in ('train', 'val'):
    os.symlink('.', f'links/{link}')
open('links.csv', 'w').write(head + row)
bad += 'nothing for' in last_words(
    'a folder with two links to itself', 'ava/make_ava_style.py', 'links.csv',
    '--video-root', 'links', '--out', 'o')

os.makedirs('ann')
open('ann/train.csv', 'w').write('a,0,.1,.1,.9,.9,1\n')
open('ann/fall_detection_val.csv', 'w').write('b,0,.1,.1,.9,.9,1\n')
bad += 'fall_detection' not in last_words(
    'a list with "detection" in its name, passed over without a word',
    'ava/prepare_ava.py', 'ann', '--videos', 'v', '--out', 'i.json')
verdict(bad, f'{bad} of 5')
