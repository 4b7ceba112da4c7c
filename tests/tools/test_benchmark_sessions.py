# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Sessions of any recognizer stay what they are."""
import pytest
from helpers.tools import ROOT, tool_fixture

tool = tool_fixture('tools/analysis_tools/benchmark_sessions.py')


def test_a_neck_over_a_stock_backbone(tool, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', [
        'tool', '--fps', '4', '--hours', str(20 / 3600), '--sessions', '2',
        '--rounds', '1', '--config',
        str(ROOT / 'boards/longcue/stream_transformer.py'), '--cfg-options',
        'model.neck.mem_len=5'])
    tool.main()
    text = capsys.readouterr().out
    rows = [x.split() for x in text.splitlines() if x[:1].isspace()][-10:]
    # Two layers of keys and values; whose times, and whether they are there.
    size = 4 * 2 * 2 * 5 * 64
    assert [int(x[1]) for x in rows] == list(range(2, 21, 2))
    assert len({x[2] for x in rows}) == 1
    assert size <= float(rows[0][2]) * 1024 < 1.1 * size
    assert '2 sessions' in text


def test_a_missing_config_is_told_in_a_line(tool, monkeypatch):
    monkeypatch.setattr('sys.argv', ['tool', '--config', 'nope.py'])
    with pytest.raises(SystemExit, match='nope.py'):
        tool.main()
