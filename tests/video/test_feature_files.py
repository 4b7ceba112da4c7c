# Copyright (c) mmaction_memvit contributors. All rights reserved.
import builtins
import multiprocessing

import numpy as np
import pytest

from mmaction_memvit.video.feature_files import (
    FeatureFile,
    FeatureStack,
    find_feature_file,
)

FEATURES = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


def write_npy(root):
    np.save(root / 'a.npy', FEATURES)
    return root


def write_npz(root):
    np.savez(root / 'a.npz', features=FEATURES, times=np.arange(40) / 4)
    return root


def write_compressed(root):
    np.savez_compressed(root / 'a.npz', FEATURES)
    return root


def write_hdf5(root):
    h5py = pytest.importorskip('h5py')
    with h5py.File(root / 'a.h5', 'w') as file:
        file['features'] = FEATURES
        file['times'] = np.arange(40) / 4
    return root


def write_one_hdf5(root):
    h5py = pytest.importorskip('h5py')
    with h5py.File(root / 'all.h5', 'w') as file:
        file['a'], file['b'] = FEATURES, FEATURES[:3]
    return root / 'all.h5'


def write_lmdb(root):
    """As RULSTM publishes features, with neighbours by name."""
    lmdb = pytest.importorskip('lmdb')
    env = lmdb.open(str(root / 'rgb'), map_size=1 << 24)
    with env.begin(write=True) as transaction:
        for video in ('Z', 'a', 'a_frame', 'aa', 'b'):
            for i, row in enumerate(FEATURES):
                transaction.put(f'{video}_frame_{i + 1:010d}.jpg'.encode(),
                                (row + (video != 'a')).tobytes())
    env.close()
    return root / 'rgb'


WRITERS = [write_npy, write_npz, write_compressed, write_hdf5,
           write_one_hdf5, write_lmdb]


@pytest.mark.parametrize('write', WRITERS)
@pytest.mark.parametrize('rows', [[0], [3, 4, 5], [39, 39, 2], range(40)])
def test_formats(tmp_path, write, rows):
    file = FeatureFile(*find_feature_file(str(write(tmp_path)), ['a.mp4']))
    assert len(file) == 40
    np.testing.assert_array_equal(file.read(rows), FEATURES[list(rows)])
    with pytest.raises(ValueError, match='40'):
        file.read([2, 40])
    file.close()


@pytest.mark.parametrize('write', WRITERS)
def test_missing_video(tmp_path, write):
    root = str(write(tmp_path))
    with pytest.raises(FileNotFoundError, match='nobody'):
        FeatureFile(*find_feature_file(root, ['nobody']))


@pytest.mark.parametrize('write', [write_npy, write_npz])
def test_arrays_are_mapped(tmp_path, write, monkeypatch):
    monkeypatch.setattr('mmaction_memvit.video.feature_files._SMALL', 64)
    file = FeatureFile(*find_feature_file(str(write(tmp_path)), ['a']))
    assert isinstance(file.rows, np.memmap)
    np.testing.assert_array_equal(file.read([7, 1]), FEATURES[[7, 1]])


def _read_in_child(place, queue):
    queue.put(FeatureFile(*place).read([5]).tolist())


def test_lmdb_after_a_fork(tmp_path):
    place = find_feature_file(str(write_lmdb(tmp_path)), ['a'])
    file = FeatureFile(*place)
    file.read([5])
    context = multiprocessing.get_context('fork')
    queue = context.Queue()
    child = context.Process(target=_read_in_child, args=(place, queue))
    child.start()
    assert queue.get(timeout=60) == FEATURES[[5]].tolist()
    child.join()


@pytest.mark.parametrize('library, name', [('h5py', 'a.h5'),
                                           ('lmdb', 'data.mdb')])
def test_missing_library(tmp_path, monkeypatch, library, name):
    (tmp_path / name).write_bytes(b'')
    real = builtins.__import__

    def refuse(module, *args, **kwargs):
        if module == library:
            raise ImportError(module)
        return real(module, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', refuse)
    with pytest.raises(ImportError, match=f'pip install {library}'):
        FeatureFile(*find_feature_file(str(tmp_path), ['a']))


def test_several_streams_stand_side_by_side(tmp_path):
    for name, array in [('rgb', FEATURES), ('flow', FEATURES[:, :2].astype(
            np.float16)), ('short', FEATURES[:39])]:
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / 'a.npy', array)

    def stack(*names):
        return FeatureStack([
            find_feature_file(str(tmp_path / x), ['a']) for x in names])

    read = stack('rgb', 'flow').read([3, 9])
    assert read.dtype == np.float32
    np.testing.assert_allclose(
        read, FEATURES[[3, 9]][:, [0, 1, 2, 3, 4, 5, 0, 1]], atol=1e-3)
    with pytest.raises(ValueError, match='39'):
        stack('rgb', 'short')
