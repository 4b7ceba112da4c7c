# Copyright (c) mmaction_memvit contributors. All rights reserved.
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools/analysis_tools'


@pytest.mark.parametrize('split', ['train', 'val'])
def test_tables(split, monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(TOOLS))
    # The tool silences its whole process, which is ours.
    monkeypatch.setattr('logging.disable', lambda level: None)
    import benchmark_data
    monkeypatch.setattr(benchmark_data, 'SECONDS', 5)
    monkeypatch.setattr(benchmark_data, 'NUM_VIDEOS', 2)
    out = tmp_path / 'table.md'
    monkeypatch.setattr('sys.argv', [
        'tool', '--split', split, '--video-size', '64', '48', '--need',
        '0.001', '1e6', '--out', str(out)])
    benchmark_data.main()
    text = out.read_text()
    assert text.strip() == capsys.readouterr().out.strip()
    # What goes to the device is as it was decoded.
    assert 'a clip is uint8 of (1, 3, 16, 224, 224), 2.30 MiB' in text
    rows = [[x.strip() for x in line.strip('|').split('|')]
            for line in text.splitlines() if line.startswith('|')]
    costs = {x[0]: float(x[2].strip('%')) for x in rows if x[-1].endswith('%')}
    assert {'LoadVideoClip', 'Resize', 'PackActionInputs'} < set(costs)
    assert 95 < sum(costs.values()) < 105
    # 150 frames a video are two clips and the start of a third.
    assert ', 6 clips; ' in text
    rate = float(text.split(' clips/s a worker')[0].split()[-1])
    few, many = rows[-2:]
    assert few[1] == '1' and few[-1] == 'the model'
    assert int(many[1]) == pytest.approx(1e6 / rate, rel=0.1)
    assert many[-1] == 'the data'
