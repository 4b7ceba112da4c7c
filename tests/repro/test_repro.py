# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Faults that users met with files of all kinds, each a script of its own."""
import runpy
import tempfile
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

FOLDER = Path(__file__).parent
SCRIPTS = sorted(FOLDER.glob('[0-9]*.py'))


@pytest.fixture(autouse=True)
def level_of_the_log():
    """A script may quieten it; tests after it read it."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.stem)
def test_fault_is_gone(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    monkeypatch.syspath_prepend(str(FOLDER))
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(script), run_name='__main__')
    text = capsys.readouterr().out
    if end.value.code == 77:
        pytest.skip(text.strip().splitlines()[-1])
    assert end.value.code == 0, text
    assert text.strip().splitlines()[-1].startswith('ok: ')
