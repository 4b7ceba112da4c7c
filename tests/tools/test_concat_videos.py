# Copyright (c) mmaction_memvit contributors. All rights reserved.
import csv
from collections import defaultdict

import av
import pytest
from helpers.tools import tool_fixture
from helpers.videos import need_shared_data, read_number, write_video

from mmaction_memvit.datasets import OnlineVideoDataset

tool = tool_fixture('tools/data/concat_videos.py')
LENGTHS = (12, 17)


@pytest.fixture(scope='module')
def table(tmp_path_factory):
    """Clips of 3 classes and 4 source groups each; they show label * 100."""
    folder = tmp_path_factory.mktemp('clips')
    with open(folder / 'labels.csv', 'w', newline='') as f:
        out = csv.writer(f)
        out.writerow(['path', 'label', 'class', 'source_group'])
        for label in range(3):
            for i in range(8):
                name = f'{label}/clip {i}.avi'
                write_video(folder / name, LENGTHS[i % 2], codec='mpeg4',
                            b_frames=0, first=100 * label + 1)
                out.writerow([name, label, f'class{label}',
                              f'{label}-{i // 2}'])
    return folder / 'labels.csv'


def make(tool, table, out, *args):
    tool.main([str(table), '--out', str(out), '--short-side', '64',
               '--num-train', '3', '--num-val', '2', '--clips-per-video', '3',
               '5', *args])
    return out


def segments(path):
    rows = [line.split() for line in path.read_text().splitlines()]
    return [(r[0], float(r[1]), float(r[2]), int(r[3])) for r in rows]


def test_videos_and_lists_agree(tool, table, tmp_path):
    out = make(tool, table, tmp_path / 'out')
    assert len(list((out / 'videos').glob('*.mp4'))) == 5
    assert (out / 'classes.txt').read_text().split() == [
        'class0', 'class1', 'class2']
    for part, num in (('train', 3), ('val', 2)):
        rows = segments(out / f'{part}.txt')
        assert len({r[0] for r in rows}) == num
        assert 3 * num <= len(rows) <= 5 * num
        for name in {r[0] for r in rows}:
            with av.open(str(out / name)) as container:
                shown = [read_number(f.to_ndarray(format='rgb24'))
                         for f in container.decode(video=0)]
            end = 0
            for _, start, stop, label in (r for r in rows if r[0] == name):
                first, last = round(start * 30), round(stop * 30)
                assert first == end and last - first in LENGTHS
                assert shown[first:last] == [
                    100 * label + 1 + i for i in range(last - first)]
                end = last
            assert end == len(shown)
        dataset = OnlineVideoDataset(
            f'{part}.txt', [], data_root=str(out), index_file='index.json',
            ann_format='segments', clip_len=4, frame_interval=2, num_classes=3)
        assert {dataset[i]['label'] for i in range(len(dataset))} <= {0, 1, 2}


def test_seed(tool, table, tmp_path):
    first = make(tool, table, tmp_path / 'a')
    again = make(tool, table, tmp_path / 'b')
    other = make(tool, table, tmp_path / 'c', '--seed', '1')
    names = ('train.txt', 'val.txt', 'videos/train_000.mp4')
    for name in names:
        assert (first / name).read_bytes() == (again / name).read_bytes()
    assert any((first / n).read_bytes() != (other / n).read_bytes()
               for n in names)


def check_split(tool, rows, share, seed=0):
    import random
    train, val = tool.split_groups(rows, share, random.Random(seed))
    assert sorted(r['path'] for r in train + val) == sorted(
        r['path'] for r in rows)
    groups = [{r['source_group'] for r in part} for part in (train, val)]
    assert not groups[0] & groups[1]
    count = defaultdict(lambda: [0, 0])
    for k, part in enumerate((train, val)):
        for row in part:
            count[row['label']][k] += 1
    assert all(a > 0 for a, _ in count.values())
    return count


def test_split_of_jhmdb(tool):
    folder = need_shared_data('jhmdb')
    with open(folder / 'labels.csv', newline='') as f:
        rows = [{**r, 'label': int(r['label'])} for r in csv.DictReader(f)]
    count = check_split(tool, rows, 0.3)
    # One class has one source group only.
    assert sum(b > 0 for _, b in count.values()) == 20
    assert 0.2 <= sum(b for _, b in count.values()) / len(rows) <= 0.35


BOXES = ['class', 'video', 'frame', 'x1', 'y1', 'x2', 'y2']


def box_of(label, clip, frame):
    """A box in a clip of 64 x 64 that tells clip and frame (from 1)."""
    return [label + 1, clip + 1, label + 1 + frame, clip + 21]


@pytest.fixture(scope='module')
def boxes(table):
    """Boxes of all frames but the fifth; clip 7 of class 2 has none."""
    path = table.parent / 'boxes.csv'
    with open(path, 'w', newline='') as f:
        out = csv.writer(f)
        out.writerow(BOXES)
        for label in range(3):
            for i in range(8):
                for frame in range(1, LENGTHS[i % 2] + 1):
                    if frame != 5 and (label, i) != (2, 7):
                        out.writerow([f'class{label}', f'clip {i}', frame,
                                      *box_of(label, i, frame)])
    return path


@pytest.mark.parametrize('fps', ['10', '60'])
def test_boxes_follow_their_frames(tool, table, boxes, tmp_path, fps):
    """Twice as large, played to and fro, at any rate."""
    out = make(tool, table, tmp_path, '--boxes', str(boxes), '--short-side',
               '128', '--repeat', '2', '--fps', fps)
    with open(out / 'boxes.csv', newline='') as f:
        rows = list(csv.DictReader(f))
    for name in ('train_000', 'val_001'):
        with av.open(str(out / f'videos/{name}.mp4')) as container:
            assert container.streams.video[0].average_rate == int(fps)
            shown = [read_number(f.to_ndarray(format='rgb24'))
                     for f in container.decode(video=0)]
        mine = {int(r['frame']): r for r in rows
                if r['video'] == f'{name}.mp4'}
        persons = defaultdict(set)
        for number, image in enumerate(shown):
            label, frame = divmod(image, 100)
            if number not in mine:
                # The fifth, or the clip without boxes.
                assert frame == 5 or label == 2
                continue
            row = mine[number]
            assert row['label'] == f'class{label}'
            assert row['split'] == name[:-4]
            x1, y1, x2, y2 = (float(row[k]) / 2 for k in BOXES[3:])
            assert [x1, y1, x2, y2] == box_of(label, round(y1) - 1, frame)
            persons[row['person']].add((label, y1))
        assert len(mine) > 40
        # A number for every clip of the video.
        assert all(len(found) == 1 for found in persons.values())


@pytest.mark.parametrize('rows, match', [
    ([['class0', 'clip 0', 0, 1, 1, 9, 9]], "boxes.csv:2: frame '0'.*from 1"),
    ([['class0', 'other', 1, 1, 1, 9, 9]], 'none of the 24 clips'),
])
def test_bad_boxes(tool, table, tmp_path, rows, match):
    path = tmp_path / 'boxes.csv'
    path.write_text('\n'.join(','.join(map(str, r)) for r in [BOXES, *rows]))
    with pytest.raises(SystemExit, match=match):
        make(tool, table, tmp_path / 'out', '--boxes', str(path))


def test_boxes_of_a_clip_of_another_shape(tool, tmp_path):
    """Width and height are scaled each by their own factor."""
    path = write_video(tmp_path / 'wide.mp4', 3, width=128)
    boxes = {0: [(8, 8, 16, 16)], 2: [(0, 0, 128, 64), (1, 2, 3, 4)]}
    assert tool.moved_boxes(path, boxes, 3, (64, 128), 2) == [
        (0, [4, 16, 8, 32]), (2, [0, 0, 64, 128]), (2, [.5, 4, 1.5, 8]),
        (3, [0, 0, 64, 128]), (3, [.5, 4, 1.5, 8]), (5, [4, 16, 8, 32])]


def test_table_of_clips(tool, tmp_path):

    def write(text):
        (tmp_path / 'clips.csv').write_text(text)
        return str(tmp_path / 'clips.csv')

    head = 'path,label,class,source_group\n'
    path = write(head + '"a,b.mp4",2,sit,x\nc.mp4,5,run,y\n')
    assert tool.read_clip_table(path) == [
        {'path': 'a,b.mp4', 'label': 2, 'class': 'sit', 'source_group': 'x'},
        {'path': 'c.mp4', 'label': 5, 'class': 'run', 'source_group': 'y'}]
    assert len(tool.read_clip_table(path, num_classes=5)) == 1
    for text, words in ((head, 'no clip'), ('path,label\n', "'class'"),
                        (head + 'a,x,b,c\n', "csv:2: label 'x'"),
                        (head + 'a,1,b,c\na,1,d,c\n', "csv:3: .*'b'.*'d'")):
        with pytest.raises(ValueError, match=words):
            tool.read_clip_table(write(text))
