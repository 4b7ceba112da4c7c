# Copyright (c) mmaction_memvit contributors. All rights reserved.
import gzip
import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmaction_memvit.annotations.proposals import read_proposals
from mmaction_memvit.annotations.table import (
    BadRows,
    Table,
    is_whole,
    read_lines,
    read_pickle,
    read_table,
    read_text,
    to_numbers,
)


@pytest.mark.parametrize('delimiter', [',', '\t', ';'])
@pytest.mark.parametrize('mark', ['', '\ufeff'])
@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
def test_dialects(write, delimiter, mark, end):
    rows = ['a,b,c', '1, 2 ,3', '', ',,', '4,5']
    table = read_table(
        write(mark + end.join(rows).replace(',', delimiter) + end))
    assert [table[k] for k in range(4)] == [
        ['a', '1', '4'], ['b', '2', '5'], ['c', '3', ''], ['', '', '']]
    assert table.lines.tolist() == [1, 2, 5]
    assert table.widths.tolist() == [3, 3, 2]


def test_quotes_and_lines(write):
    table = read_table(write('"a,1","say ""hi""\nall",3\n\n"x"\ny,"",5\n'))
    assert table[0] == ['a,1', 'x', 'y']
    assert table[1] == ['say "hi"\nall', '', '']
    assert table.lines.tolist() == [1, 4, 5]
    assert table.widths.tolist() == [3, 1, 3]


def test_header(write):
    table = read_table(write('id,label\nx,3\n"y,z",4\n')).with_header(
        ['label'], 'x')
    assert 'id' in table and 'name' not in table and len(table) == 2
    assert table['id'] == ['x', 'y,z']
    assert table.integers('label', 0, 4).tolist() == [3, 4]
    with pytest.raises(ValueError, match=r'file.csv:3: .*4.* 0 to 3'):
        table.integers('label', 0, 3)
    with pytest.raises(ValueError, match=r"file.csv:1: .*'name'.*id,label"):
        read_table(write('id,label\nx,3\n')).with_header(['name'], 'x')
    with pytest.raises(ValueError, match=r'file.csv:3: 1 fields.*2'):
        read_table(write('id,label\nx,3\ny\n')).with_header(['id'], 'x')
    with pytest.raises(ValueError, match=r"file.csv:1: .*'id'"):
        read_table(write('')).with_header(['id'], 'x')


def test_files_that_are_no_text(write):
    for data, words in ((gzip.compress(b'a,1\n'), 'gunzip'),
                        (b'PK\3\4\0xl/workbook.xml', 'CSV UTF-8')):
        with pytest.raises(ValueError, match=words):
            read_table(write(data))


@pytest.mark.parametrize('encoding, words', [
    ('cp1252', '0xe9'), ('utf-16', 'UTF-16'), ('utf-16-le', 'UTF-16'),
])
def test_other_encodings(write, encoding, words):
    text = 'video,label\na,run\nb,caf\xe9\n'
    path = write(text.encode(encoding))
    for read in (read_text, read_lines, read_table):
        with pytest.raises(ValueError) as error:
            read(path)
        line = 3 if encoding == 'cp1252' else 1
        assert f'file.csv:{line}: ' in str(error.value)
        assert words in str(error.value) and 'iconv' in str(error.value)


@pytest.mark.parametrize('rows', [1, 20000])
def test_open_quotes(write, rows):
    path = write('a,b\n"c",1\nd,"run\n' + 'e,2\n' * rows)
    with pytest.raises(ValueError, match=r'file.csv:3: .*quote.*Remedy'):
        read_table(path)


def test_numbers():
    values = to_numbers(['0.1', '', ' 2', 'x', '1_0', 'nan', 'inf', '1e-3'])
    np.testing.assert_array_equal(
        values, [.1, np.nan, 2, np.nan, np.nan, np.nan, np.inf, 1e-3])
    assert to_numbers(['', '3'], -1).tolist() == [-1, 3]
    assert is_whole(values).tolist() == [False, False, True, *[False] * 5]
    assert not is_whole(np.array([1e300, -2.**60])).any()


@given(st.lists(st.floats(allow_nan=False), max_size=5))
def test_numbers_are_exact(values):
    assert to_numbers([repr(x) for x in values]).tolist() == values


def test_bad_rows(log):
    table = Table('file.csv', [], np.arange(2, 9), np.ones(7, int))
    bad = BadRows(table, 'skip', '--skip')
    mask = np.array([0, 1, 0, 1, 1, 1, 1], bool)
    bad.flag(mask, 'odd', lambda row: f'value {row}')
    # The first fault of a row counts.
    bad.flag(np.arange(7) < 2, 'even', lambda row: f'number {row}')
    assert bad.good().tolist() == [False, False, True, *[False] * 4]
    (told, ) = log
    for words in ('file.csv: 6 of 7', '5 odd, 1 even', 'line 2: number 0',
                  'line 3: value 1', '; ...'):
        assert words in told
    bad.policy = 'error'
    with pytest.raises(ValueError, match='line 2.*Remedy.*--skip'):
        bad.good()
    with pytest.raises(ValueError, match="'drop'.*error.*skip"):
        BadRows(table, 'drop')


# -- pickles ----------------------------------------------------------------


class Harmful:

    def __reduce__(self):
        return os.mkdir, ('harm', )


def test_arrays_lists_and_text(write):
    value = {'a': np.arange(6, dtype=np.float32).reshape(2, 3),
             'b': [np.float64(1), np.array(['x', 'caf\xe9'])], 'c': (1, None)}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        got = read_pickle(write(pickle.dumps(value, protocol)), 'x')
        np.testing.assert_array_equal(got['a'], value['a'])
        assert got['b'][0] == 1 and got['b'][1].tolist() == ['x', 'caf\xe9']
        assert got['c'] == (1, None)


def test_arrays_of_python_2(write):
    """A float32 array, as numpy 1 under Python 2 pickled it."""
    data = np.array([[1.5, -2]], '<f4').tobytes()
    text = (b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'
            b"'b'\ntR(I1\n(I1\nI2\ntcnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'"
            b"<'\nNNNI-1\nI-1\nI0\ntbI00\nS" +
            repr(data)[1:].encode() + b'\ntb.')
    assert read_pickle(write(text), 'x').tolist() == [[1.5, -2]]


@pytest.mark.parametrize('wrap', [
    lambda x: x, lambda x: {'a,0001': x}, lambda x: np.array([x], object)])
def test_no_code_is_run(write, tmp_path, monkeypatch, wrap):
    monkeypatch.chdir(tmp_path)
    path = write(pickle.dumps(wrap(Harmful())), 'x.pkl')
    for read in (lambda p: read_pickle(p, 'y'), read_proposals):
        with pytest.raises(ValueError, match='x.pkl: .*mkdir.*Remedy'):
            read(path)
    assert not (tmp_path / 'harm').exists()


def test_no_pickle(write):
    for content in (b'', b'text', pickle.dumps([1] * 9)[:-3]):
        with pytest.raises(ValueError, match='file.csv: .*Remedy: z'):
            read_pickle(write(content), 'z')
