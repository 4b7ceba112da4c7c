# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json

import numpy as np
import pytest
from generated.distant_pair import DistantPairSpec, plan_pairs
from generated.make_distant_pair import make_distant_pair
from generated.video_set import read_video

SMALL = DistantPairSpec(num_things=2, num_slots=4, slot_frames=3)


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    out_dir = tmp_path_factory.mktemp('distant_pair')
    meta = make_distant_pair(
        str(out_dir), SMALL, dict(train=2, val=1), dict(train=1, val=1))
    return out_dir, meta


def test_files(dataset):
    out_dir, meta = dataset
    assert json.loads((out_dir / 'distant_pair_meta.json').read_text()) == meta
    assert meta['chance'] == 0.5 and meta['num_frames'] == 12
    index = json.loads((out_dir / 'distant_pair_index.json').read_text())
    assert len(index) == 8 + 4 + 5 + 5
    for split, number, frames in (('train', 8, 12), ('val', 4, 12),
                                  ('train_signs', 5, 3), ('val_signs', 5, 3)):
        content = meta['splits'][split]
        lines = (out_dir / content['ann_file']).read_text().split('\n')
        rows = [line.split() for line in lines[:-1]]
        assert [name for name, _ in rows] == content['videos']
        assert len(rows) == number
        for name, _ in rows:
            entry = index[name]
            assert entry['num_frames'] == frames and entry['fps'] == 3
            assert 'problem' not in entry
        if 'questions' in content:
            assert [[x['video'], str(x['label'])]
                    for x in content['questions']] == rows


def test_decoded_frames_carry_no_trace_of_a_sign_of_another_slot(dataset):
    """Encoders predict frames from earlier ones: that must not leak."""
    out_dir, _ = dataset
    plans = plan_pairs(SMALL, 'val', 4)
    videos = [read_video(str(out_dir / x.name)).reshape(4, -1) for x in plans]
    for plan, video in zip(plans[1:], videos[1:]):
        differ = (video != videos[0]).any(1)
        assert np.flatnonzero(differ).tolist() == [
            a.slot for a, b in zip(plans[0].signs, plan.signs) if a != b]
