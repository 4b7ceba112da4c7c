# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
from helpers.runs import MODEL, made_up_loader, write_weights
from helpers.tools import tool_fixture
from mmengine.config import Config

tool = tool_fixture('tools/analysis_tools/temporal_support.py')


def test_prints_the_table_and_writes_the_files(tool, tmp_path, monkeypatch,
                                               capsys):
    pytest.importorskip('matplotlib')
    write_weights(tmp_path / 'weights.pth')
    config = Config(
        dict(model=MODEL, test_dataloader=made_up_loader([5, 6], False)))
    config.dump(tmp_path / 'config.py')
    table, plot = tmp_path / 'support.md', tmp_path / 'support.png'
    monkeypatch.setattr('sys.argv', [
        'tool', str(tmp_path / 'config.py'), str(tmp_path / 'weights.pth'),
        '--max-age', '3', '--clips', '20', '--out', str(table), str(plot),
        '--cfg-options', 'test_dataloader.batch_size=1'])
    tool.main()
    text = table.read_text()
    assert text in capsys.readouterr().out
    rows = [line.split() for line in text.splitlines()]
    assert [row[3] for row in rows[2:6]] == ['11', '9', '7', '5']
    assert plot.stat().st_size > 1000
    monkeypatch.setattr('sys.argv', ['tool', str(tmp_path / 'no.py')])
    with pytest.raises(SystemExit):
        tool.main()
