# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json

import cv2
import numpy as np
import pytest
from helpers.epic import write_official, write_text
from helpers.tools import tool_fixture
from helpers.videos import truncate, write_video

tool = tool_fixture('tools/data/epic100/check_epic.py')
HEADER = 'video_id,duration,fps,resolution'


@pytest.fixture
def root(tmp_path):
    write_official(tmp_path / 'ann.csv', [
        ('P01_01_0', 0, 1.5, 1, 1), ('P01_01_1', 1, 2, 1, 1),
        ('P01_02_0', 0, 1, 1, 1)])
    write_text(tmp_path / 'info.csv', HEADER, 'P01_01,2.0,25.0,64x64',
               'P01_02,1.2,50.0,64x64', 'P09_01,9.0,50.0,64x64')
    return tmp_path


def run(tool, root, *args):
    return tool.main([str(root / 'ann.csv'), '--video-info',
                      str(root / 'info.csv'), '--num-workers', '1', *args])


@pytest.fixture
def videos(root):
    write_video(root / 'videos/P01/videos/P01_01.MP4', 50, rate=25)
    write_video(root / 'videos/P01/P01_02.mp4', 60, rate=50)
    return root / 'videos'


def test_videos_in_order(tool, root, videos, capsys):
    index = root / 'index.json'
    assert run(tool, root, '--videos', str(videos), '--index', str(index)) == 0
    text = capsys.readouterr().out
    assert '2 of 2 are there, 110 frames' in text
    assert 'missing: 0' in text and text.endswith('All in order\n')
    assert {k: v['num_frames'] for k, v in json.loads(
        index.read_text()).items()} == {'P01/videos/P01_01.MP4': 50,
                                        'P01/P01_02.mp4': 60}


def test_videos_with_faults(tool, root, videos, capsys):
    whole = write_video(root / 'whole.mp4', 90, rate=50,
                        container_options={'movflags': 'faststart'})
    truncate(whole, videos / 'P01/P01_02.mp4', 0.7)
    (videos / 'P01_03.mp4').write_text('text')
    # Half as fast as the list says; and its segment goes on behind the end.
    write_video(videos / 'P01_04.mp4', 30, rate=25)
    write_video(videos / 'P01_05.mp4', 25, rate=25)
    write_official(root / 'ann.csv', [
        (f'P01_0{i}_0', 0, 2 if i == 1 else 3, 1, 1) for i in range(1, 7)])
    with open(root / 'info.csv', 'a') as f:
        f.write('P01_03,1,25,64x64\nP01_04,0.6,50,64x64\n'
                'P01_06,1,25,64x64\n')
    assert run(tool, root, '--videos', str(videos)) == 1
    text = capsys.readouterr().out
    assert '5 of 6 are there' in text
    assert 'missing: 1\n    P01_06\n' in text
    assert 'P01_05: not in the video list' in text
    assert 'not decodable: 1\n    P01_03: cannot be read' in text
    assert 'will be used: 1\n    P01_02: ' in text
    assert ('P01_04: 25 frames per second, the list says 50; 30 frames, but '
            'expected are 30 at 50 frames per second; ends after 1.20 s, but '
            'a segment goes to 3.00 s') in text
    assert 'video list; ends after 1.00 s' in text
    assert text.endswith('5 of 6 are not in order\n')


def write_frames(folder, numbers):
    folder.mkdir(parents=True)
    image = np.zeros((8, 8, 3), np.uint8)
    for number in numbers:
        cv2.imwrite(str(folder / f'frame_{number:010}.jpg'), image)


def test_frame_folders(tool, root, capsys):
    frames = root / 'frames'
    # Long enough to tell 59.94 from 60; 60 frames are 1.2 s at 50.
    write_text(root / 'info.csv', HEADER, 'P01_01,12.0,29.97,64x64',
               'P01_02,1.2,50,64x64')
    write_frames(frames / 'P01/rgb_frames/P01_01', range(1, 721))
    write_frames(frames / 'P01_02', range(1, 61))
    assert run(tool, root, '--frames', str(frames)) == 0
    text = capsys.readouterr().out
    assert '2 of 2 are there, 780 frames' in text
    assert "60 frames per second: 'P01_01'" in text
    assert "50 frames per second: 'P01_02'" in text


def test_frame_folders_with_faults(tool, root, capsys):
    frames = root / 'frames'
    write_official(root / 'ann.csv', [
        (f'P01_0{i}_0', 0, 1, 1, 1) for i in range(1, 7)])
    write_text(root / 'info.csv', HEADER,
               *(f'P01_0{i},2,25,64x64' for i in range(1, 7)))
    write_frames(frames / 'P01_01', [*range(1, 21), *range(23, 53)])
    write_frames(frames / 'P01_02', range(1, 31))
    write_frames(frames / 'P01_03', range(1, 51))
    (frames / 'P01_03/frame_0000000050.jpg').write_bytes(b'text')
    write_frames(frames / 'P01_04', [])
    write_frames(frames / 'P01_05', range(1, 51))
    (frames / 'P01_05/frame_0000000020.jpg').write_bytes(b'')
    (frames / 'P01_06.tar').write_bytes(b'')
    assert run(tool, root, '--frames', str(frames)) == 1
    text = capsys.readouterr().out
    assert 'missing: 1\n    P01_06: only ' in text and 'unpack it' in text
    assert ('P01_01: frames 1 to 52, 2 of 1 to 52 are not there, such as '
            '[21, 22]') in text
    assert 'P01_02: 30 frames, but expected are 50 at 25, 120 at 60' in text
    assert 'P01_03: frame_0000000050.jpg cannot be decoded' in text
    assert 'P01_04: no frames such as' in text
    assert 'P01_05: 1 empty files, such as frame_0000000020.jpg' in text
    assert '6 of 6 are not in order' in text
    # In the middle only with --decode.
    (frames / 'P01_05/frame_0000000020.jpg').write_bytes(b'text')
    run(tool, root, '--frames', str(frames))
    assert 'frame_0000000020' not in capsys.readouterr().out
    run(tool, root, '--frames', str(frames), '--decode')
    assert 'P01_05: frame_0000000020.jpg cannot' in capsys.readouterr().out
