# Copyright (c) mmaction_memvit contributors. All rights reserved.
import base64
import os
import pickle
import zlib

import numpy as np
import pandas as pd
import pytest

from mmaction_memvit.annotations.epic import read_epic_segments
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


# Of pandas 1.1, about as old as the official files: a segment with its
# narration id as index and a list among its columns, compressed.
OLD_TABLE = (
    'eNp1VPlz3DQU3t0km9YpSbkp0BMKKofZLUkIoVxtKbSm2yIucyxC9qqRqY/9bDltgJ2BHz'
    'YhfzU8ybtDygwajyU9vev7np7+6MRjmY9k5cdFqfx7pcyUd10aecOt0Lr0J9oTdFi42Gq1'
    'RLZTYuERiyQ3qsxlWvmZzOWOKivvalrE9283Ow+L5GGJDdFl/7EbqYeq8iNZKU/k6oG4aS'
    'Uelv9fbaZxbILjTT4jShRenNfZeK/Rz+rUJLIs5Z4nShUXeWXKOjYeVhotj1y7U5wIWlM8'
    'Fou4GKm48lRuFx5WwzY5jrAWdmlOpUnyPk7u43GOJw7wJMdTLGgHy1M8PXM4Mntjsnsm7J'
    'D+nS08e/jXAZ7jOMWCBefrdzw/GAxu/U3D/YIPDV6IDod4kYWrdD6WpUnihFAbkYxwOjxG'
    'wt1kpAq7PROu0bYypCRMkilaZWOcdZaVKcZHhOdCz1qqMhJxKqsK550gL+p8JrgQHieBTF'
    'NhhRVeUgYvR47KnMqNi4N6H69wvKqXNbHMmPb0inZMXdIE/zWO1y389hRv6FME4U2X7N1e'
    'X/T7ogdfGrwV6YvhCeeRiDZJkVsYPXLc57ishnibzX2uW58bHJvWZydo7+Md3fCYbGHL8v'
    'gux/acxyt471EeWwZXokO9Gp6k04VWM5ZnM97XVLUPOIjtj6J5xI9txKsc12zEJRvxusPx'
    'CQsXGiC44QrfQMKn4Qpter1t+637Gz18dlSy6V/ewM0hbjGXoUSg1xRx+nlEOG+zhsXBER'
    'bv2Ph3Ob5wiKfgLvqXTJ/XF8juK+LOluBrjm8a42+PGIfW+DuO713yU/zgjH9k+rQ+o8/q'
    'c9qWczhz8ROHUBP87ND0/P6634ecIGoaR1JPIdZddxrZfq0wGkKxCe4xJ9yVaU06O3rTlZ'
    'gaX5BaBR0LEdUJdVkuhFelSUyXPwkWg27QPsAvHPfrCVKmd/Q1reeZZzbznKOYZT7W27Zu'
    'rPXvaM/mzmye17M7rydsPUuOysBEtapprpurK6gDseuutn0Q3BuGB24vMmWkeyUeDrEXLl'
    'noxpQVfp3gtzry/wFG8X1g')


def test_tables_of_old_pandas(write):
    path = write(zlib.decompress(base64.b64decode(OLD_TABLE)), 'old.pkl')
    frame = read_pickle(path, 'x', is_table=True).reset_index()
    assert frame.to_dict('list') == dict(
        narration_id=['P01_11_0'], participant_id=['P01'],
        video_id=['P01_11'], start_timestamp=['00:00:04.50'],
        stop_timestamp=['00:00:06.25'], verb_class=[3], noun_class=[7],
        all_nouns=[['a', 'b']])
    assert len(read_epic_segments(path)) == 1


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
