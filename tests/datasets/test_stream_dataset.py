# Copyright (c) mmaction_memvit contributors. All rights reserved.
import gc

import numpy as np
import pytest

from mmaction_memvit.datasets.stream_dataset import StreamDataset
from mmaction_memvit.datasets.video_reader import VideoReadError

# See test_online_video_dataset.py for epochs, workers and failures in real
# videos.


@pytest.fixture(scope='module', autouse=True)
def quick_collection():
    # BaseDataset collects garbage for every dataset; not what was imported.
    gc.freeze()
    yield
    gc.unfreeze()


class Squares(StreamDataset):
    """Three videos of four samples; a sample knows a square."""

    sample_arrays = (*StreamDataset.sample_arrays, '_square')

    def load_data_list(self):
        number = np.arange(12)
        self.set_samples('abc', _clip_video=number // 4,
                         _clip_position=number % 4, _square=number**2)
        return [dict(video_id=v) for v in 'abc']

    def build_command(self):
        return 'run "it"'

    def get_data_info(self, idx):
        return dict(
            self.sample_info(idx), filename=self._video_ids[idx // 4],
            square=int(self._square[idx]))


def fail_on(video):

    def transform(results):
        if results['video_id'] == video:
            raise OSError('no file')
        return results

    return transform


def test_samples_and_subsets():
    dataset = Squares('', [])
    assert len(dataset) == 12 and dataset.video_ids == ['a', 'b', 'c']
    assert dataset.stream_keys()[5] == ('b', 1)
    assert dataset[5]['square'] == 25 and dataset[5]['sample_idx'] == 5
    subset = dataset.get_subset([11, 2])
    assert subset.stream_keys() == [('c', 3), ('a', 2)]
    assert subset._square.tolist() == [121, 4] and len(dataset) == 12
    assert Squares('', [], indices=3).stream_keys()[-1] == ('a', 2)


def test_failures():
    dataset = Squares('', [fail_on('b')], seed=4)
    got = dataset[6]
    assert got['video_id'] != 'b' and dataset[6]['sample_idx'] == got[
        'sample_idx']
    assert dataset.failure_counts()['b'] >= 2
    with pytest.raises(
            VideoReadError,
            match=r"'b': position 2 cannot.*no file.*run \"it\""):
        Squares('', [fail_on('b')], test_mode=True)[6]


def test_mistakes_of_subclasses():
    dataset = Squares('', [])
    with pytest.raises(ValueError, match=r"got \['_x'\].*'_square'"):
        dataset.set_samples('a', _x=np.zeros(1))
    with pytest.raises(NotImplementedError, match='Squares.*build_command'):
        StreamDataset.build_command(dataset)
    with pytest.raises(ValueError, match="missing_video='x'"):
        Squares('', [], missing_video='x')
