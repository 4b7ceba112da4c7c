# Copyright (c) mmaction_memvit contributors. All rights reserved.
import os
import pickle

import numpy as np
import pandas as pd
import pytest

from mmaction_memvit.annotations.pickles import read_pickle
from mmaction_memvit.annotations.proposals import read_proposals


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


def test_tables_of_pandas(write):
    table = pd.DataFrame({
        'id': ['a', 'b'], 'n': [1, 2], 'x': [.5, np.nan],
        't': pd.to_timedelta([1.5, 2], unit='s'), 'l': [[1, 2], []]})
    for frame in (table, table.set_index('id')):
        path = write(pickle.dumps(frame))
        pd.testing.assert_frame_equal(read_pickle(path, 'x', True), frame)


@pytest.mark.parametrize('wrap', [
    lambda x: x, lambda x: {'a,0001': x}, lambda x: np.array([x], object),
    lambda x: pd.DataFrame({'a': [x]})])
def test_no_code_is_run(write, tmp_path, monkeypatch, wrap):
    monkeypatch.chdir(tmp_path)
    path = write(pickle.dumps(wrap(Harmful())), 'x.pkl')
    for read in (lambda p: read_pickle(p, 'y'), read_proposals,
                 lambda p: read_pickle(p, 'y', True)):
        with pytest.raises(ValueError, match='x.pkl: .*mkdir.*Remedy'):
            read(path)
    assert not (tmp_path / 'harm').exists()


def test_no_pickle(write):
    for content in (b'', b'text', pickle.dumps([1] * 9)[:-3]):
        with pytest.raises(ValueError, match='file.csv: .*Remedy: z'):
            read_pickle(write(content), 'z')
