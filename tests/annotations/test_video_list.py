# Copyright (c) mmaction_memvit contributors. All rights reserved.
from posixpath import normpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmaction_memvit.annotations.video_list import (
    read_video_list,
    write_video_list,
)


def test_video_list(write):
    path = write('\ufeffa.mp4 3\r\n\n# a comment\n'
                 'b c/d  e! (1).avi  0\n f.mp4\t-1 \n')
    assert read_video_list(path) == [dict(path='a.mp4', label=3),
                                     dict(path='b c/d  e! (1).avi', label=0),
                                     dict(path='f.mp4', label=-1)]


def test_several_labels(write):
    path = write('a b.mp4 3 1 2\nc.mp4 -1\n')
    assert read_video_list(path, multi_class=True) == [
        dict(path='a b.mp4', label=[3, 1, 2]), dict(path='c.mp4', label=[])]
    assert [r['path'] for r in read_video_list(
        write('take 2,5\ntake 3,7\n'), delimiter=',')] == ['take 2', 'take 3']
    assert read_video_list(write('a b.mp4\n'), need_label=False) == [
        dict(path='a b.mp4', label=-1)]
    path = write('a b.mp4 3 1 2\nc.mp4 -1\n')
    # Only the last field is the label when there is one label.
    assert read_video_list(path)[0] == dict(path='a b.mp4 3 1', label=2)


@pytest.mark.parametrize('multi_class', [False, True])
@pytest.mark.parametrize('times', ['12.0 15.5', '12 15.5', '12.0 15'])
def test_segments_read_as_videos(write, multi_class, times):
    path = write(f'a.mp4 4 6 1\nb.3gp {times} 3\n')
    with pytest.raises(ValueError, match='b.3gp 12.*--ann-format segments'):
        read_video_list(path, multi_class=multi_class)


def test_segments(write):
    path = write('a b.mp4 0 2.5 1\nc.mp4 1 2 0\na b.mp4 2.5 4 2\n')
    assert read_video_list(path, 'segments') == [
        dict(path='a b.mp4', label=-1,
             segments=[(0, 2.5, (1, )), (2.5, 4, (2, ))]),
        dict(path='c.mp4', label=-1, segments=[(1, 2, (0, ))])]
    path = write('a.mp4 0 2.5 1,4\na.mp4 2 3 -1\n')
    assert read_video_list(
        path, 'segments', multi_class=True)[0]['segments'] == [
            (0, 2.5, (1, 4)), (2, 3, ())]


@pytest.mark.parametrize('text, kwargs, match', [
    ('', {}, 'no video.*"path label'),
    ('a.mp4 0\nb.mp4 x\n', {}, r'file.csv:2: .*b.mp4 x'),
    ('a.mp4 0\nb.mp4 5\n', dict(num_classes=5),
     r'file.csv:2: label 5 .*0 to 4 \(num_classes=5\)'),
    ('a.mp4 -2\n', {}, 'file.csv:1: label -2'),
    ('a.mp4 0\nb.mp4 0\na.mp4 1\n', {}, 'file.csv:3.*before, on line 1'),
    ('b/a.mp4 0\n./b//a.mp4 1\n', {}, 'file.csv:2.*before, on line 1'),
    ('a.mp4 1 2\n', dict(ann_format='segments'), '3 of 4 fields'),
    ('a.mp4 1 x 2\n', dict(ann_format='segments'), 'seconds'),
    ('a.mp4 3 2 2\n', dict(ann_format='segments'), 'start=3, end=2'),
    ('a.mp4 1 2 1,3\n', dict(ann_format='segments'), 'multi_class=True'),
    ('a.mp4 1 2 run\n', dict(ann_format='segments'), 'a whole number'),
    ('a.mp4 1 2 9\n', dict(ann_format='segments', num_classes=3), 'label 9'),
    ('a.mp4\n', {}, 'file.csv:1: .*no label'),
])
def test_errors(write, text, kwargs, match):
    with pytest.raises(ValueError, match=match):
        read_video_list(write(text), **kwargs)


# -- written lists ----------------------------------------------------------

TEXT = st.characters(exclude_categories=['Cs'], exclude_characters='\0\r\n')
PATHS = st.text(TEXT, min_size=1, max_size=6).filter(
    lambda x: x == x.rstrip()) | st.sampled_from(
        ['#fails/0.mp4', './#a', '././# b', '# 1 hit.mp4', ' a.mp4', 'a 3',
         '\ufeffa', 'caf\xe9', 'cafe\u0301', '"a, b".mp4', './a.mp4'])


@given(st.lists(st.tuples(PATHS, st.integers(-1, 9)), min_size=1, max_size=4,
                unique_by=lambda x: normpath(x[0])))
def test_what_is_written_is_read(tmp_path_factory, rows):
    path = str(tmp_path_factory.getbasetemp() / 'written/list.txt')
    write_video_list(path, rows)
    assert read_video_list(path) == [dict(path=p, label=k) for p, k in rows]
    write_video_list(path, [(p, .5, k + 3.25, k) for p, k in rows])
    assert [(r['path'], r['segments']) for r in read_video_list(
        path, 'segments')] == [
            (p, [(.5, k + 3.25, () if k < 0 else (k, ))]) for p, k in rows]
