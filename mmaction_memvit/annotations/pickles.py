# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Reads pickles without running what they say.

Pickles of the web hold whatever their author wanted. Only arrays, text,
numbers, lists and dicts, and tables of pandas, are built; anything else is an
error.
"""
import importlib
import io
import pickle
from typing import Any

import numpy as np
import pandas as pd
from pandas.compat import pickle_compat

from ..messages import data_error
from .table import Table, read_bytes

# All that a pickle of arrays, lists and text needs.
_ARRAYS = {
    ('numpy', 'ndarray'), ('numpy', 'dtype'), ('_codecs', 'encode'),
    ('copy_reg', '_reconstructor'), ('copyreg', '_reconstructor'),
    ('__builtin__', 'object'), ('builtins', 'object'),
    ('builtins', 'bytearray'), ('collections', 'OrderedDict'),
    *((f'numpy.{core}.{module}', name) for core in ('core', '_core')
      for module, name in (('multiarray', '_reconstruct'),
                           ('multiarray', 'scalar'),
                           ('numeric', '_frombuffer')))
}
_TIMES = {('datetime', x) for x in ('date', 'datetime', 'time', 'timedelta')}
# What tables are made of besides, wherever pandas 1 to 3 keeps it. None of it
# calls, opens or imports anything that the pickle names.
_TABLES = {
    'BlockManager', 'DataFrame', 'DatetimeArray', 'Index', 'Int64Index',
    'RangeIndex', 'StringArray', 'StringDtype', 'TimedeltaArray',
    '__pyx_unpickle_NDArrayBacked', '_new_Index', '_timedelta_unpickle',
    '_unpickle_block', '_unpickle_timestamp', 'new_block'
}


class _Safe:
    """Builds what is listed above and runs no code."""

    def find_class(self, module: str, name: str) -> Any:
        known = (module, name) in _ARRAYS or (module, name) in _TIMES or (
            module.split('.')[0] == 'pandas' and name in _TABLES)
        if not known and (module, name) not in (
                ('builtins', 'slice'), ('__builtin__', 'slice')):
            raise pickle.UnpicklingError(
                f'it holds {module}.{name}, but only arrays, lists, dicts and '
                'tables are read')
        if module.startswith('numpy._core'):
            # What NumPy 2 wrote, with NumPy 1.
            try:
                importlib.import_module(module)
            except ImportError:
                module = module.replace('_core', 'core')
        return super().find_class(module, name)


class _SafeUnpickler(_Safe, pickle.Unpickler):
    pass


class _SafeTableUnpickler(_Safe, pickle_compat.Unpickler):
    """Slower; knows what other versions of pandas wrote."""


def read_pickle(path: str, remedy: str, is_table: bool = False) -> Any:
    """Content of a pickle; no code in it is run.

    It is a ValueError with ``remedy`` if it holds anything but arrays, text,
    numbers, lists, dicts and, with ``is_table``, a table of pandas.
    """
    content = read_bytes(path, remedy)
    unpickler = _SafeTableUnpickler if is_table else _SafeUnpickler
    try:
        # latin1: arrays that Python 2 wrote.
        return unpickler(io.BytesIO(content), encoding='latin1').load()
    # A damaged pickle may raise nearly anything.
    except Exception as e:
        raise data_error(path, f'cannot be unpickled ({type(e).__name__}: '
                         f'{e})', remedy) from e


def read_pickled_table(path: str, remedy: str) -> Table:
    """A pickled table of pandas, as its CSV file would be read."""
    frame = read_pickle(path, 'take the CSV file of the same name, which '
                        'holds the same', is_table=True)
    if not hasattr(frame, 'reset_index'):
        raise data_error(path, f'it holds a {type(frame).__name__}, not a '
                         'table', remedy)
    # The official files of EPIC have the narration id as index.
    frame = frame.reset_index()
    rows = len(frame) + 1
    return Table(
        path, [[str(name), *map(_text, frame.iloc[:, k])]
               for k, name in enumerate(frame.columns)],
        np.arange(1, rows + 1), np.full(rows, frame.shape[1]))


def _text(value: Any) -> str:
    """A value of a table as it stands in a CSV file."""
    if not isinstance(value, (list, tuple)) and pd.isna(value):
        return ''
    if hasattr(value, 'total_seconds'):
        seconds, micro = divmod(round(value.total_seconds() * 1e6), 1000000)
        return (f'{seconds // 3600:02}:{seconds // 60 % 60:02}:'
                f'{seconds % 60:02}.{micro:06}')
    if hasattr(value, 'strftime'):
        return value.strftime('%H:%M:%S.%f')
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
