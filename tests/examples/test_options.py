# Copyright (c) mmaction_memvit contributors. All rights reserved.
import argparse

import pytest
from generated.longcue import LongCueSpec
from generated.options import add_longcue_options, longcue_options
from helpers.tools import tool_fixture

generate = tool_fixture('examples/generate.py')


@pytest.fixture
def parser():
    parser = argparse.ArgumentParser('make_it.py')
    add_longcue_options(parser, LongCueSpec(), train_videos=8, val_videos=4)
    return parser


def test_every_option_arrives(parser):
    args = parser.parse_args(
        '--num-cues 3 --max-delay 2 --clips-per-video 7 --clip-len 2 '
        '--frame-interval 5 --size 96 --fps 7.5 --seed 9 --interfere'.split())
    assert LongCueSpec(**longcue_options(args)) == LongCueSpec(
        3, 2, 7, 2, 5, 96, 7.5, 9, separate=False)


def test_wrong_options_are_told_without_a_traceback(generate, capsys):
    with pytest.raises(SystemExit):
        generate.main(['longcue', 'out', '--num-cues', '9'])
    assert 'num_cues=9' in capsys.readouterr().err
