# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch

from mmaction_memvit.models.layers.feature_vectors import feature_vectors


@pytest.mark.parametrize('shape', [(2, 3), (2, 3, 5, 6)])
def test_one_vector_of_what_has_no_time(shape):
    x = torch.randn(shape)
    out = feature_vectors(x)
    assert out.shape == (2, 1, 3)
    torch.testing.assert_close(out[:, 0], x.flatten(2).mean(-1)
                               if x.ndim > 2 else x)
    torch.testing.assert_close(out, feature_vectors(x, per_frame=True))


def test_a_vector_a_clip_or_a_frame():
    x = torch.randn(2, 3, 4, 5, 6)
    frames = feature_vectors(x, per_frame=True)
    torch.testing.assert_close(frames[1, 2], x[1, :, 2].mean((1, 2)))
    torch.testing.assert_close(feature_vectors(x), frames.mean(1, True))


def test_paths_side_by_side():
    slow, fast = torch.randn(2, 8, 4, 3, 3), torch.randn(2, 2, 16, 3, 3)
    assert feature_vectors((slow, fast)).shape == (2, 1, 10)
    frames = feature_vectors((slow, fast), per_frame=True)
    assert frames.shape == (2, 4, 10)
    torch.testing.assert_close(frames[0, 1, 8:],
                               fast[0, :, 4:8].mean((1, 2, 3)))


def test_the_class_token_stands_for_the_clip():
    scales = (None, [torch.randn(2, 3, 4, 2, 2), torch.randn(2, 3)])
    patch, cls = scales[-1]
    torch.testing.assert_close(feature_vectors(scales)[:, 0], cls)
    torch.testing.assert_close(feature_vectors(scales, per_frame=True),
                               feature_vectors(patch, per_frame=True))


def test_tokens_without_shape_are_refused():
    with pytest.raises(ValueError, match='2, 9, 3'):
        feature_vectors(torch.zeros(2, 9, 3))
