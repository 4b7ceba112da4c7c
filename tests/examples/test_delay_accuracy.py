# Copyright (c) mmaction_memvit contributors. All rights reserved.

import cv2
import numpy as np
import pytest
import torch
from demos.delay_accuracy import (
    DelayAccuracy,
    accuracy_by_delay,
    format_delay_table,
    overall_accuracy,
    plot_accuracy_by_delay,
    question_records,
)

QUESTIONS = [{'video': 'a.mp4', 'clip': 2, 'delay': 1, 'label': 0},
             {'video': 'a.mp4', 'clip': 9, 'delay': 4, 'label': 1},
             {'video': 'b.mp4', 'clip': 2, 'delay': 1, 'label': 2}]


def result(video, clip, pred, kind=np.array):
    scores = [0.1, 0.1, 0.1]
    scores[pred] = 0.8
    return {'video_id': video, 'timestamp': clip, 'pred_score': kind(scores)}


@pytest.mark.parametrize('kind', [np.array, torch.tensor, list])
def test_question_records_match_by_video_and_clip(kind):
    results = [result('b.mp4', 2, 1, kind), result('a.mp4', 3, 2, kind),
               result('a.mp4', 9, 1, kind), result('a.mp4', 2, 0, kind)]
    records = question_records(results, QUESTIONS)
    assert [record['pred'] for record in records] == [0, 1, 1]
    assert [record['delay'] for record in records] == [1, 4, 1]
    assert 'pred' not in QUESTIONS[0]
    assert accuracy_by_delay(records) == {1: DelayAccuracy(1, 2),
                                          4: DelayAccuracy(1, 1)}


def test_every_question_must_have_a_result():
    results = [result('a.mp4', 2, 0), result('a.mp4', 9, 0)]
    with pytest.raises(ValueError, match="1 of 3 .* clip 2 of 'b.mp4'"):
        question_records(results, QUESTIONS)


def test_accuracy_by_delay_sorts_and_sums():
    records = [{'delay': delay, 'label': 1, 'pred': pred}
               for delay, pred in [(10, 1), (2, 1), (2, 0), (10, 1)]]
    table = accuracy_by_delay(records)
    assert list(table) == [2, 10]
    assert table[2].accuracy == 0.5 and table[10].accuracy == 1
    assert overall_accuracy(table) == DelayAccuracy(3, 4)


MODELS = {'with memory': {1: DelayAccuracy(8, 8), 2: DelayAccuracy(7, 8)},
          'without memory': {1: DelayAccuracy(2, 8), 2: DelayAccuracy(1, 8)}}


def test_format_delay_table():
    lines = format_delay_table(MODELS, 0.25).splitlines()
    assert lines[0].split() == ['delay', 'questions', 'with', 'memory',
                                'without', 'memory', 'chance']
    rows = [line.split() for line in lines if '%' in line]
    assert rows == [['1', '8', '100.0%', '25.0%', '25.0%'],
                    ['2', '8', '87.5%', '12.5%', '25.0%'],
                    ['all', '16', '93.8%', '18.8%', '25.0%']]
    assert len({len(line) for line in lines}) == 1


def test_plot(tmp_path):
    out_file = tmp_path / 'plot.png'
    plot_accuracy_by_delay(
        MODELS, str(out_file), 0.25, mem_len=2, title='LongCue')
    picture = cv2.imread(str(out_file))
    assert min(picture.shape[:2]) >= 300
    # Something is drawn, and in colour.
    assert (np.ptp(picture, axis=2) > 50).sum() > 500
