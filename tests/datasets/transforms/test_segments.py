# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest

from mmaction_memvit.datasets.transforms import TrimToSegment


def test_restores_what_initialisation_overwrote():
    results = TrimToSegment()(
        dict(segment_frames=(10, 19), first_number=0, total_frames=300,
             start_index=0, video_reader=object()))
    assert (results['start_index'], results['total_frames']) == (10, 10)


@pytest.mark.parametrize('length, expected', [(15, (10, 14)), (5, (4, 4))])
def test_file_that_is_too_short(length, expected):
    results = TrimToSegment()(
        dict(segment_frames=(10, 19), total_frames=length,
             video_reader=object()))
    assert results['segment_frames'] == expected
    assert results['start_index'] == expected[0]
    assert results['total_frames'] == expected[1] - expected[0] + 1


def test_harmless_without_initialisation():
    sample = dict(segment_frames=(10, 19), first_number=1, total_frames=10,
                  start_index=11)
    assert TrimToSegment()(dict(sample)) == sample


def test_needs_a_segment():
    with pytest.raises(KeyError, match='EpicDataset'):
        TrimToSegment()(dict(total_frames=3))
