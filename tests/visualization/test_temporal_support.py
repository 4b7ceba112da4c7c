# Copyright (c) mmaction_memvit contributors. All rights reserved.
import math

import cv2
import numpy as np
import pytest

from mmaction_memvit.evaluation.functional import TemporalSupport
from mmaction_memvit.visualization import (
    plot_temporal_support,
    support_rows,
)


def result(*changes, counts=None, theoretical=math.nan):
    counts = [9] * len(changes) if counts is None else counts
    return TemporalSupport(np.array(changes), np.array(counts), 0.,
                           theoretical)


MODELS = {
    'unrolled': result(.5, .2, .1, 1e-4, 0., theoretical=3),
    'no memory': result(.4, 0., 0., theoretical=0),
    'recurrent': result(
        .4, .3, .2, math.nan, counts=[9, 8, 2, 0], theoretical=math.inf),
}


def test_rows():
    head, *ages, used, theoretical, control = support_rows(MODELS)
    assert head[2:] == tuple(MODELS)
    assert [row[0] for row in ages] == list('01234')
    assert ages[1][2:] == ('0.2 (40.0%)', '0 (0.0%)', '0.3 (75.0%)')
    assert ages[3][3:] == ('-', '-')
    assert used[2:] == ('2', '0', '2 or more')
    assert theoretical[2:] == ('3', '0', 'no limit')
    assert control[2:] == ('0', ) * 3
    # More of the change at age 0 is asked for.
    assert support_rows(MODELS, .3)[-3][2:] == ('1', '0', '2 or more')


def test_plot(tmp_path):
    pytest.importorskip('matplotlib')
    path = str(tmp_path / 'plot.png')
    plot_temporal_support(MODELS, path, title='LongCue')
    assert (np.ptp(cv2.imread(path), axis=2) > 50).sum() > 500
    plot_temporal_support(MODELS, str(tmp_path / 'plot.svg'))
    text = (tmp_path / 'plot.svg').read_text()
    assert all(f'<!-- {name}: used' in text for name in MODELS)
