# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pickle

import mmengine
import numpy as np
import pytest
import torch

from mmaction_memvit.annotations.epic_lists import EpicActions
from mmaction_memvit.evaluation.submissions.epic_dump import (
    read_dumped_actions,
    read_epic_dump,
    write_epic_dump,
)

IDS = ['P01_01_0', 'P01_01_10', 'P22_107_3']


@pytest.mark.parametrize('name', ('a.npz', 'sub/a.pkl'))
def test_nothing_is_lost(tmp_path, name):
    rng = np.random.default_rng(0)
    scores = {'verb': rng.normal(size=(3, 4)),
              'action': rng.normal(size=(3, 9)).astype(np.float32)}
    scores['verb'][1] = np.nan
    scores['verb'][0, 0] = 1e300
    path = str(tmp_path / name)
    write_epic_dump(path, IDS, scores)
    ids, read = read_epic_dump(path)
    assert ids == IDS and sorted(read) == ['action', 'verb']
    assert read_dumped_actions(path) is None
    for task, array in scores.items():
        assert np.array_equal(read[task], array, equal_nan=True)
        assert read[task].dtype == np.float64
    assert [f.name for f in (tmp_path / name).parent.iterdir()] == ['a.npz'
        if name == 'a.npz' else 'a.pkl']
    pairs = [[v, n] for n in range(3) for v in range(3)]
    write_epic_dump(path, IDS, scores, EpicActions(pairs))
    assert read_dumped_actions(path).pairs.tolist() == pairs
    assert sorted(read_epic_dump(path)[1]) == ['action', 'verb']
    write_epic_dump(path, IDS, {'verb': scores['action'].astype(np.float64)})
    # float32 is kept as float32.
    raw = (np.load(path) if name == 'a.npz' else
           {'verb': pickle.loads((tmp_path / name).read_bytes())
            ['verb_output']})
    assert raw['verb'].dtype == np.float32


def test_official_form(tmp_path):
    path = tmp_path / 'a.pkl'
    verb = np.arange(6.).reshape(3, 2)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps({
            'verb_output': verb.astype(np.float32),
            'noun_output': [row * 2 for row in verb],
            'narration_id': np.array(IDS)}, protocol))
        ids, scores = read_epic_dump(str(path))
        assert ids == IDS
        assert np.array_equal(scores['verb'], verb)
        assert np.array_equal(scores['noun'], verb * 2)


def test_bad_dumps(tmp_path):
    path = str(tmp_path / 'a.npz')
    with pytest.raises(FileNotFoundError):
        read_epic_dump(path)
    with pytest.raises(ValueError, match='must end with'):
        write_epic_dump('a.json', IDS, {})
    for content in (b'', b'text', b'PK\x03\x04'):
        for name in ('a.npz', 'a.pkl'):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(ValueError, match=name):
                read_epic_dump(str(tmp_path / name))
    # Of --dump.
    other = tmp_path / 'a.pkl'
    mmengine.dump([dict(pred_score=torch.ones(2))], other)
    with pytest.raises(ValueError, match='dump_file=.*eval_metric'):
        read_epic_dump(str(other))
    verb = np.zeros((3, 2))
    np.savez(path, verb=verb)
    with pytest.raises(ValueError, match="'narration_id'.*has .'verb'"):
        read_epic_dump(path)
    np.savez(path, narration_id=IDS)
    with pytest.raises(ValueError, match='scores of verb'):
        read_epic_dump(path)
    for wrong in (verb[:2], verb[0]):
        np.savez(path, narration_id=IDS, verb=wrong)
        with pytest.raises(ValueError, match='for 3 segments'):
            read_epic_dump(path)
    np.savez(path, narration_id=[IDS[0], *IDS[:2]], verb=verb)
    with pytest.raises(ValueError, match='1 segments come more.*P01_01_0'):
        read_epic_dump(path)
