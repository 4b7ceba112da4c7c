# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Tools and configs by python -m mmaction_memvit."""
import pytest
from mmengine.config import Config

from mmaction_memvit.__main__ import OWN_VIDEOS, main


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Types a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(text):
        monkeypatch.setattr('sys.argv', ['mmaction_memvit', *text.split()])
        main()

    return call


def test_it_tells_what_there_is(call, capsys):
    call('')
    said = capsys.readouterr().out.split()
    assert {'train', 'test', 'build_video_index', 'make_ava_style',
            'eval_metric'} <= {*said}
    assert said.count('train') == 1
    # No tool, but a part of one.
    assert 'subjects' not in said


def test_it_runs_tools_of_mmaction2(call, capsys, tmp_path):
    (tmp_path / 'a.py').write_text('model = dict(type="X")')
    call('print_config a.py')
    assert 'X' in capsys.readouterr().out


@pytest.mark.parametrize('case', OWN_VIDEOS)
def test_copies_are_complete(call, case):
    call(f'copy {case} my_config.py')
    cfg = Config.fromfile('my_config.py')
    assert {'model', 'train_dataloader', 'val_dataloader', 'test_dataloader',
            'test_evaluator', 'train_cfg', 'optim_wrapper'} <= {*cfg}
    with pytest.raises(SystemExit, match='my_config.py exists'):
        call(f'copy {case} my_config.py')


@pytest.mark.parametrize('text, told', [
    ('trian my_config.py', 'trian'),
    ('copy pose my_config.py', 'pose.*recognition'),
    ('copy recognition', 'FILE'),
    ('copy', 'CASE.*recognition'),
    ('subjects', 'subjects'),
])
def test_slips(call, text, told):
    with pytest.raises(SystemExit, match=told):
        call(text)
