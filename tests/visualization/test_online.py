# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import pytest

from mmaction_memvit.visualization.online import draw_rows


def row(name, person=None, box=(None, ) * 4):
    return dict(name=name, score=.5, person=person,
                **dict(zip(('x1', 'y1', 'x2', 'y2'), box)))


def written(size, rows, title=''):
    """The dark background of what is written on a white picture."""
    height, width = size
    image = draw_rows(np.full((height, width, 3), 255, np.uint8), rows, title)
    return image, (image == 85).all(-1)


@pytest.mark.parametrize('size,times', [((480, 640), 1), ((60, 80), 4),
                                        ((100, 40), 6)])
def test_long_names_stay_on_the_picture(size, times):
    before = np.zeros((*size, 3), np.uint8)
    image, dark = written(size, [row('walk' * 20)] * 3, '1.0 s')
    assert image.shape == (times * size[0], times * size[1], 3)
    assert dark.any() and not before.any()
    # White on the left edge of the picture: nothing is cut.
    assert not dark[:, 0].any()


def test_what_is_written_of_persons_does_not_overlap():
    box = .2, .2, .4, .9
    one = written((480, 640), [row('stand', 1, box)])[1].sum()
    two = written((480, 640), [row('stand', 1, box),
                               row('stand', 2, box)])[1].sum()
    assert one > 1000 and two == pytest.approx(2 * one, rel=0.1)
    # Nor is it cut at an edge.
    for box in ((.95, .95, 1., 1.), (0., 0., .1, .1)):
        assert written((480, 640), [row('stand', 1, box)])[1].sum() == \
            pytest.approx(one, rel=0.1)
