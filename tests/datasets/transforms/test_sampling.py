# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest
from mmaction.registry import TRANSFORMS

from mmaction_memvit.datasets.transforms import SampleKeyframeClip
from mmaction_memvit.datasets.transforms.consistent import seeded


def sample(center=60, total=27000, fps=30., **kwargs):
    return dict(center_frame=center, total_frames=total, fps=fps, **kwargs)


def inds(results, *args, **kwargs):
    return SampleKeyframeClip(*args, **kwargs)(results)['frame_inds'].tolist()


def test_released_recipes():
    # Second 902 of a cut that starts at 900: frame 60 at 30 fps.
    transform = TRANSFORMS.build(
        dict(type='SampleKeyframeClip', clip_len=16, frame_interval=4))
    results = transform(sample())
    assert results['frame_inds'].tolist() == list(range(28, 89, 4))
    assert results['frame_inds'].dtype == np.int64
    assert (results['clip_len'], results['frame_interval'],
            results['num_clips']) == (16, 4, 1)
    assert inds(sample(center=90), 32, 3) == list(range(42, 138, 3))
    # The keyframe is frame clip_len // 2.
    assert inds(sample(), 5, 2) == [56, 58, 60, 62, 64]


@pytest.mark.parametrize('fps, center, want', [
    (60., 120, [56 + 8 * k for k in range(16)]),
    (15., 30, [14 + 2 * k for k in range(16)]),
    (10., 20, [20 + round(k * 4 / 3) for k in range(-8, 8)]),
    (59.94, 120, [120 + round(k * 4 * 59.94 / 30) for k in range(-8, 8)]),
])
def test_other_frame_rates(fps, center, want):
    assert inds(sample(center, fps=fps), 16, 4) == want
    native = inds(sample(center, fps=fps), 16, 4, sample_fps=None)
    assert native == [max(center + 4 * k, 0) for k in range(-8, 8)]


def test_borders_and_start_index():
    assert inds(sample(2, 5), 4, 2) == [0, 0, 2, 4]
    assert inds(sample(4, 5), 4, 2) == [0, 2, 4, 4]
    assert inds(sample(0, 1), 3, 2) == [0, 0, 0]
    # Numbers of files; start_index counts once.
    assert inds(sample(2, 5, start_index=1), 4, 2) == [1, 1, 3, 5]


@pytest.mark.parametrize('fps, interval, reach', [(30., 4, 2), (60., 4, 4),
                                                  (30., 3, 1), (25., 4, 1),
                                                  (30., 1, 0)])
def test_perturbation(fps, interval, reach):
    plain = np.asarray(
        inds(sample(1000, fps=fps), 16, interval))
    transform = SampleKeyframeClip(16, interval, perturb=True)
    moves = []
    for seed in range(300):
        with seeded(seed):
            got = transform(sample(1000, fps=fps))['frame_inds']
        with seeded(seed):
            again = transform(sample(1000, fps=fps))['frame_inds']
        np.testing.assert_array_equal(got, again)
        assert (np.diff(got) >= 0).all()
        moves.append(got - plain)
    moves = np.stack(moves)
    assert moves[:, 0].min() == 0 and moves[:, 0].max() == reach
    assert moves[:, -1].min() == -reach and moves[:, -1].max() == 0
    assert (moves[:, 1:-1].min(0) == -reach).all()
    assert (moves[:, 1:-1].max(0) == reach).all()
    # Every value is about equally likely.
    inner = moves[:, 1:-1]
    shares = [(inner == m).mean() for m in range(-reach, reach + 1)]
    np.testing.assert_allclose(shares, 1 / (2 * reach + 1), atol=0.04)


def test_perturbed_frames_stay_in_the_video():
    transform = SampleKeyframeClip(4, 8, perturb=True)
    with seeded(0):
        for _ in range(50):
            got = transform(sample(0, 6))['frame_inds']
            assert got.min() >= 0 and got.max() <= 5
