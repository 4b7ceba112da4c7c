# Copyright (c) mmaction_memvit contributors. All rights reserved.
import numpy as np
import torch
from demos.timeline import format_timeline

CLASSES = ['red disk', 'blue square']


def test_lines_say_what_was_shown_and_whether_the_answer_is_right():
    lines = list(
        format_timeline(
            [(0, [.6, .4]), (1, [.1, .9]), (2, np.array([.8, .2])),
             (3, torch.tensor([.7, .3]))],
            CLASSES, 2.5,
            shown={0: 'cue: red disk', 2: '? (delay 2)', 3: '? (delay 3)'},
            answers={2: 0, 3: 1}))
    assert len(lines) == 6
    assert 'shown' in lines[0]
    assert lines[1].split() == ['0', '0.0', 's', 'cue:', 'red', 'disk', 'red',
                                'disk', '0.60', '######']
    assert lines[2].split() == ['1', '2.5', 's', 'blue', 'square', '0.90',
                                '#########']
    assert lines[3].endswith('########    right')
    assert lines[4].endswith('WRONG, blue square')
    assert lines[5] == '1 of 2 questions answered rightly'
    # One column for the answers, whatever is shown.
    assert len({line.index(name) for line, name in zip(
        lines[2:5], ['blue square', 'red disk', 'red disk'])}) == 1


def test_a_line_is_there_before_the_next_clip_is_asked_for():
    asked = []

    def stream():
        for clip in range(1000):
            asked.append(clip)
            yield clip, [0.2, 0.8]

    lines = format_timeline(stream(), CLASSES, 1)
    next(lines)
    assert asked == []
    assert next(lines).split()[0] == '0'
    assert next(lines).split()[0] == '1'
    assert asked == [0, 1]


