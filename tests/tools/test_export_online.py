# Copyright (c) mmaction_memvit contributors. All rights reserved.
import re
from types import SimpleNamespace

import pytest
import torch
from helpers.boxes import write_detector
from helpers.tools import tool_fixture

tool = tool_fixture('tools/deployment/export_online.py')
pytestmark = pytest.mark.skipif(not hasattr(torch.compiler, 'is_exporting'),
                                reason='torch tells of an export since 2.7')


def test_files_are_run_beside_the_model(tool, tmp_path, monkeypatch, capsys):
    """Those of a detector; test_pages.py exports a recognizer."""
    pytest.importorskip('mmdet')
    monkeypatch.setattr('sys.argv', [
        'tool', *write_detector(tmp_path, tmp_path), '--out-dir',
        str(tmp_path / 'out'), '--formats', 'torch', '--batch-size', '1',
        '--video-size', '96', '64'])
    tool.main()
    said = capsys.readouterr().out
    worst = re.search(r'differ by (\S+) at most', said)[1]
    assert float(worst) < 1e-4
    assert re.search(r'clip +uint8 +\(1, 3, 4, 32, 48\)', said)
    assert {x.name for x in (tmp_path / 'out').iterdir()} == {
        'backbone.pt2', 'head.pt2'}


def test_files_that_give_other_scores_are_refused(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, 'load', str)
    monkeypatch.setattr(tool, 'difference', lambda *args: float('nan'))
    program = SimpleNamespace(save=str)
    with pytest.raises(ValueError, match='nan'):
        tool.write(SimpleNamespace(model=None), dict(backbone=program),
                   'torch', str(tmp_path), (4, 32, 32))
