# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Every tool tells its options."""
import pytest
from helpers.tools import ROOT, load_tool

TOOLS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob('tools/**/*.py'), *ROOT.glob('examples/*.py'))
    if "__name__ == '__main__'" in path.read_text())


@pytest.mark.parametrize('path', TOOLS)
def test_help(path, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', [path, '--help'])
    module = load_tool(path)
    with pytest.raises(SystemExit) as end:
        module.main()
    assert not end.value.code
    assert 'usage: ' in capsys.readouterr().out
