# Copyright (c) mmaction_memvit contributors. All rights reserved.
import os
import pickle

import numpy as np
import pytest
import torch
from helpers.distributed import spawn_two
from mmengine.dataset import DefaultSampler

from mmaction_memvit.apis.processes import leave_processes
from mmaction_memvit.evaluation.keyed import (
    KeyedMetric,
    is_probability,
    to_numpy,
)


class MeanScoreMetric(KeyedMetric):
    """A metric of a few lines: the mean of the samples' scores."""
    default_prefix = 'mean'

    def result_of(self, sample):
        key = self.field(sample, 'video_id'), self.field(sample, 'timestamp')
        return key, {'score': to_numpy(sample['score'])}

    def measure(self, found):
        assert list(found) == sorted(found)
        return {'score': float(np.mean([x['score'] for x in found.values()]))}


def sample(video, position, score):
    return dict(video_id=video, timestamp=position,
                score=torch.tensor([float(score)]))


SAMPLES = [sample('b', 1, 3), sample('a', 0, 1), sample('b', 0, 5)]


def evaluate(samples, size, metric=MeanScoreMetric):
    metric = metric()
    metric.process(None, samples)
    return metric.evaluate(size)


def test_each_key_counts_once(log):
    assert evaluate(SAMPLES, 3) == {'mean/score': 3}
    # A sampler that fills up the last batch.
    assert evaluate([*SAMPLES, SAMPLES[1], SAMPLES[1]], 3) == {'mean/score': 3}
    assert not log


def test_which_of_two_counts_does_not_depend_on_order():
    close = sample('a', 0, 1.001)
    one, two = (evaluate(x, 3) for x in ([*SAMPLES, close], [close, *SAMPLES]))
    assert one == two


@pytest.mark.parametrize('samples, size', [
    ([*SAMPLES, sample('a', 0, 2)], 3), ([*SAMPLES, SAMPLES[1]], 4)])
def test_doubled_keys_are_named(samples, size):
    with pytest.raises(ValueError, match=r"1 samples .*twice.*\('a', 0\)"):
        evaluate(samples, size)


def test_missing_keys_are_told(log):
    metric = MeanScoreMetric()
    metric.dataset_meta = dict(video_ids=['a', 'b', 'c'])
    metric.process(None, SAMPLES[:2])
    assert metric.evaluate(3) == {'mean/score': 2}
    (level, text), = log
    assert level > 20 and '2 samples' in text and '3' in text and "'c'" in text

    class Strict(MeanScoreMetric):
        needs_all = True

    with pytest.raises(ValueError, match='2 samples.*3'):
        evaluate(SAMPLES[:2], 3, Strict)


def test_a_dump_tells_what_it_lacks():
    keys = [('a', 0), ('b', 0), ('b', 1)]
    samples = [dict(sample(*key, 1), place=(i, 3, keys[(i + 1) % 3]))
               for i, key in enumerate(keys)]
    assert evaluate(samples, 3) == {'mean/score': 1}
    for i, key in enumerate(keys):
        with pytest.raises(ValueError, match='1 of the 3') as error:
            evaluate(samples[:i] + samples[i + 1:], 2)
        assert repr(key) in str(error.value)
    # Beside another, larger data set.
    more = [dict(sample('c', i, 1), place=(i, 4, ('c', (i + 1) % 4)))
            for i in range(4)]
    assert evaluate(samples + more, 7) == {'mean/score': 1}
    with pytest.raises(ValueError, match='1 of the 7') as error:
        evaluate(samples[:2] + more, 6)
    assert repr(keys[2]) in str(error.value)
    # Of a run, whose size is known, part of a data set may be scored.
    metric = MeanScoreMetric()
    metric.process(dict(), samples[:2])
    assert metric.evaluate(2) == {'mean/score': 1}


def test_a_field_that_is_not_there():
    with pytest.raises(ValueError, match='`timestamp`.*meta_keys.*video_id'):
        evaluate([dict(video_id='a')], 1)


def test_arrays():
    batch = torch.rand(4, 3, dtype=torch.bfloat16)
    array = to_numpy(batch[0])
    assert array.dtype == np.float32 and array.base is None
    assert to_numpy(batch[0].double()).dtype == np.float64
    assert is_probability(np.array([[.5, .5], [.25, .749]]))
    assert not is_probability(np.array([[.5, .5], [.5, .6]]))
    assert not is_probability(np.array([[1.5, -.5]]))


def score_on_one_of_two(rank, folder):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/init', rank=rank, world_size=2)
    results = []
    for round_up in (False, True):
        metric = MeanScoreMetric()
        metric.process(None, [SAMPLES[i] for i in DefaultSampler(
            SAMPLES, shuffle=False, round_up=round_up)])
        num = len(metric.results)
        results.append((metric.evaluate(3), num))
    with open(os.path.join(folder, f'{rank}.pkl'), 'wb') as file:
        pickle.dump(results, file)
    leave_processes()


def test_two_processes_give_the_same(tmp_path):
    spawn_two(score_on_one_of_two, str(tmp_path))
    one, two = (pickle.loads((tmp_path / f'{rank}.pkl').read_bytes())
                for rank in range(2))
    for padding in (0, 1):
        assert one[padding][0] == two[padding][0] == evaluate(SAMPLES, 3)
        assert one[padding][1] + two[padding][1] == 3 + padding
