# Copyright (c) mmaction_memvit contributors. All rights reserved.
import csv
import importlib.util
from collections import defaultdict
from pathlib import Path

import pytest
from helpers.videos import need_shared_data, read_number, write_video

from mmaction_memvit.datasets import OnlineVideoDataset

av = pytest.importorskip('av')
TOOL = Path(__file__).resolve().parents[2] / 'tools/data/concat_videos.py'
LENGTHS = (12, 17)


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('concat_videos', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
                write_video(
                    folder / name, LENGTHS[i % 2], codec='mpeg4', b_frames=0,
                    first=100 * label + 1)
                out.writerow([name, label, f'class{label}',
                              f'{label}-{i // 2}'])
    return folder / 'labels.csv'


def make(tool, table, out, *args):
    tool.main([
        str(table), '--out', str(out), '--short-side', '64', '--num-train',
        '3', '--num-val', '2', '--clips-per-video', '3', '5', *args
    ])
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
                shown = [
                    read_number(f.to_ndarray(format='rgb24'))
                    for f in container.decode(video=0)
                ]
            end = 0
            for _, start, stop, label in (r for r in rows if r[0] == name):
                first, last = round(start * 30), round(stop * 30)
                assert first == end and last - first in LENGTHS
                assert shown[first:last] == [
                    100 * label + 1 + i for i in range(last - first)
                ]
                end = last
            assert end == len(shown)
        dataset = OnlineVideoDataset(
            f'{part}.txt', [],
            data_root=str(out),
            index_file='index.json',
            ann_format='segments',
            clip_len=4,
            frame_interval=2,
            num_classes=3)
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


def test_repeat_plays_to_and_fro(tool, table):
    path = str(table.parent / '0/clip 0.avi')
    frames = tool.read_clip(path, (64, 64), 3)
    assert len(frames) == 36
    shown = [
        read_number(
            av.VideoFrame.from_ndarray(x, format='yuv420p').to_ndarray(
                format='rgb24')) for x in frames
    ]
    once = list(range(1, 13))
    assert shown == once + once[::-1] + once


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


@pytest.mark.parametrize('seed', range(5))
def test_split(tool, seed):
    rows = [
        dict(path=f'{k}-{i}', label=k, source_group=f'{k}-{i // 2}')
        for k in range(3) for i in range(8)
    ]
    count = check_split(tool, rows, 0.3, seed)
    assert list(count.values()) == [[6, 2]] * 3


def test_split_of_jhmdb(tool):
    folder = need_shared_data('jhmdb')
    with open(folder / 'labels.csv', newline='') as f:
        rows = [{**r, 'label': int(r['label'])} for r in csv.DictReader(f)]
    count = check_split(tool, rows, 0.3)
    # One class has one source group only.
    assert sum(b > 0 for _, b in count.values()) == 20
    assert 0.2 <= sum(b for _, b in count.values()) / len(rows) <= 0.35


def test_clips_are_used_evenly(tool):
    import random
    rows = [dict(path=i) for i in range(7)]
    videos = tool.deal(rows, 5, (3, 6), random.Random(0))
    used = [r['path'] for v in videos for r in v]
    for start in range(0, len(used) - 6, 7):
        assert sorted(used[start:start + 7]) == list(range(7))


@pytest.mark.parametrize('args', [
    ['--num-train', '0'],
    ['--clips-per-video', '5', '3'],
    ['--short-side', '15'],
    ['--val-share', '1'],
])
def test_bad_arguments(tool, table, tmp_path, args, capsys):
    with pytest.raises(SystemExit):
        make(tool, table, tmp_path, *args)
    assert args[0] in capsys.readouterr().err


def test_bad_table(tool, tmp_path):
    with pytest.raises(SystemExit, match='absent.csv does not exist'):
        tool.main([str(tmp_path / 'absent.csv'), '--out', str(tmp_path)])
    (tmp_path / 'x.csv').write_text('path,label\na,1\n')
    with pytest.raises(SystemExit, match='path,label,class,source_group'):
        tool.main([str(tmp_path / 'x.csv'), '--out', str(tmp_path)])
