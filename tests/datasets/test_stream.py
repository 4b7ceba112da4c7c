# Copyright (c) mmaction_memvit contributors. All rights reserved.

import numpy as np
import pytest

from mmaction_memvit.datasets import StreamDataset
from mmaction_memvit.video import VideoReadError

# See test_video.py for epochs, workers and failures in real
# videos.


class Squares(StreamDataset):
    """Three videos of four samples; a sample knows a square."""

    def load_videos(self):
        return [dict(video_id=v, filename=v, num_frames=9, fps=1.)
                for v in 'abc']

    def plan_samples(self, videos):
        number = np.arange(12)
        return dict(video=number // 4, position=number % 4, square=number**2)

    def if_cut_off(self):
        return 'run "it"'

    def sample_keys(self, idx, video):
        return dict(square=int(self.samples['square'][idx]))


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
    assert [x['square'] for x in subset] == [121, 4] and len(dataset) == 12
    subset.get_subset_(-1)
    assert subset.stream_keys() == [('a', 2)]
    assert Squares('', [], indices=3).stream_keys()[-1] == ('a', 2)


def test_failures():
    dataset = Squares('', [fail_on('b')], seed=4)
    got = dataset[6]
    assert got['video_id'] != 'b' and dataset[6]['sample_idx'] == got[
        'sample_idx']
    assert dataset.failure_counts()['b'] >= 2
    with pytest.raises(VideoReadError,
                       match=r"'b': position 2 cannot.*no file.*run \"it\""):
        Squares('', [fail_on('b')], test_mode=True)[6]


class Alone(Squares):
    """The same, each sample by itself."""

    sample_kind = 'square'
    batch_sampler = None


class Windows(Squares):

    sample_kind = 'window'
    batch_sampler = 'DistinctVideoBatchSampler'


def test_epoch_that_nobody_tells(warnings):
    """Samples that stand alone draw anew; others are warned about, once."""
    augment = [dict(type='PerVideoAugment',
                    transforms=[lambda x: dict(x, draw=np.random.rand())])]

    def draws(kind, pipeline=augment, epoch=None, **kwargs):
        dataset = kind('', pipeline, **kwargs)
        if epoch is not None:
            dataset.set_epoch(epoch)
        infos = [dataset[i] for i in (0, 1, 0)]
        return [x.get('draw') for x in infos], infos[0]['epoch']

    found, epoch = draws(Alone)
    assert len(set(found)) == 3 and epoch is None
    for kwargs in (dict(epoch=2), dict(test_mode=True)):
        for kind in (Squares, Alone, Windows):
            found, epoch = draws(kind, **kwargs)
            assert len(set(found)) == 1
            assert epoch == kwargs.get('epoch', 0)
    draws(Squares, [])
    assert not warnings
    for kind in (Squares, Windows):
        found, epoch = draws(kind)
        assert len(set(found)) == 1 and epoch == 0
        assert len(warnings) == 1
        message = warnings.pop()
        assert f'{kind.__name__}: nobody tells the epoch' in message
        assert f'batch_sampler=dict(type={kind.batch_sampler!r})' \
            in message
