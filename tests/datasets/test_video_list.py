# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest

from mmaction_memvit.datasets.video_list import read_video_list


@pytest.fixture
def write(tmp_path):

    def write(text, name='list.txt'):
        path = tmp_path / name
        path.write_bytes(text.encode())
        return str(path)

    return write


def test_video_list(write):
    path = write('\ufeffa.mp4 3\r\n\n# a comment\n'
                 'b c/d  e! (1).avi  0\n f.mp4\t-1 \n')
    assert read_video_list(path) == [
        dict(path='a.mp4', label=3),
        dict(path='b c/d  e! (1).avi', label=0),
        dict(path='f.mp4', label=-1),
    ]


def test_several_labels(write):
    path = write('a b.mp4 3 1 2\nc.mp4 -1\n')
    assert read_video_list(path, multi_class=True) == [
        dict(path='a b.mp4', label=[3, 1, 2]),
        dict(path='c.mp4', label=[]),
    ]
    # Only the last field is the label when there is one label.
    assert read_video_list(path)[0] == dict(path='a b.mp4 3 1', label=2)


def test_delimiter(write):
    path = write('take 2,5\ntake 3,7\n')
    assert [r['path'] for r in read_video_list(path, delimiter=',')
            ] == ['take 2', 'take 3']


def test_without_labels(write):
    path = write('a b.mp4\n')
    assert read_video_list(path, need_label=False) == [
        dict(path='a b.mp4', label=-1)
    ]
    with pytest.raises(ValueError, match='list.txt:1: malformed.*no label'):
        read_video_list(path)


def test_segments(write):
    path = write('a b.mp4 0 2.5 1\nc.mp4 1 2 0\na b.mp4 2.5 4 2\n')
    assert read_video_list(path, 'segments') == [
        dict(
            path='a b.mp4', label=-1, segments=[(0, 2.5, (1, )),
                                                (2.5, 4, (2, ))]),
        dict(path='c.mp4', label=-1, segments=[(1, 2, (0, ))]),
    ]
    path = write('a.mp4 0 2.5 1,4\na.mp4 2 3 -1\n')
    assert read_video_list(
        path, 'segments', multi_class=True)[0]['segments'] == [
            (0, 2.5, (1, 4)), (2, 3, ())]


@pytest.mark.parametrize('text, kwargs, match', [
    ('', {}, 'holds no video.*"path label'),
    ('\n# nothing\n', {}, 'holds no video'),
    ('a.mp4 0\nb.mp4 x\n', {}, r'list.txt:2: malformed line .b.mp4 x'),
    ('a.mp4 0\nb.mp4 5\n', dict(num_classes=5),
     r'list.txt:2: label 5 .*0 to 4 \(num_classes=5\)'),
    ('a.mp4 -2\n', {}, 'list.txt:1: label -2 is out of range'),
    ('a.mp4 0\nb.mp4 0\na.mp4 1\n', {}, 'list.txt:3.*before, on line 1'),
    ('a.mp4 1 2\n', dict(ann_format='segments'), '3 of 4 fields'),
    ('a.mp4 1 x 2\n', dict(ann_format='segments'), 'must be seconds'),
    ('a.mp4 1 nan 2\n', dict(ann_format='segments'), 'must be seconds'),
    ('a.mp4 3 2 2\n', dict(ann_format='segments'), 'start=3, end=2'),
    ('a.mp4 -1 2 2\n', dict(ann_format='segments'), 'start=-1'),
    ('a.mp4 1 2 1,3\n', dict(ann_format='segments'), 'multi_class=True'),
    ('a.mp4 1 2 run\n', dict(ann_format='segments'), 'a whole number'),
    ('a.mp4 1 2 9\n', dict(ann_format='segments', num_classes=3), 'label 9'),
    ('a.mp4 1\n', dict(ann_format='frames'), "ann_format='frames'"),
])
def test_errors(write, text, kwargs, match):
    with pytest.raises(ValueError, match=match):
        read_video_list(write(text), **kwargs)


def test_missing_list(tmp_path):
    with pytest.raises(FileNotFoundError, match='absent.txt.*data_root'):
        read_video_list(str(tmp_path / 'absent.txt'))
