# Copyright (c) mmaction_memvit contributors. All rights reserved.
import json

import av
import pandas as pd
import pytest
import torch
from helpers.boxes import DETECTOR, box_dataset, build_detector
from helpers.models import shrink_detector
from helpers.runs import MODEL, config, loader
from helpers.tools import tool_fixture
from helpers.videos import write_video
from mmaction.registry import MODELS
from mmengine.hub import get_config
from mmengine.registry import DefaultScope, init_default_scope

pytest.importorskip('matplotlib')
tool = tool_fixture('tools/demo_online.py')


def read_lines(path):
    return [json.loads(x) for x in path.read_text().splitlines()]


@pytest.fixture
def run(tool, tmp_path, monkeypatch, capsys):
    """The tool on a source; gives what it prints."""
    init_default_scope('mmaction')
    model = MODELS.build(MODEL)
    model.init_weights()
    torch.save(model.state_dict(), tmp_path / 'weights.pth')
    cfg = config(tmp_path, test=loader(tmp_path, train=False))
    cfg.dump(tmp_path / 'config.py')
    (tmp_path / 'classes.txt').write_text('sit\nstand\nwalk\n')

    def call(*args):
        monkeypatch.setattr('sys.argv', [
            'tool', *map(str, args), '--config',
            str(tmp_path / 'config.py'), '--checkpoint',
            str(tmp_path / 'weights.pth'), '--out-dir',
            str(tmp_path / 'out'), '--classes',
            str(tmp_path / 'classes.txt')
        ])
        tool.main()
        return capsys.readouterr().out

    return call


@pytest.mark.parametrize('options', [[], ['--realtime']])
def test_writes_all_outputs(run, tmp_path, options):
    path = write_video(tmp_path / 'a.mp4', 26, rate=10)
    told = run(path, '--top', 2, *options)
    out = tmp_path / 'out'
    lines = read_lines(out / 'a.jsonl')
    # 6 clips of 4 frames, and one of 2.
    assert [(x['start'], x['end']) for x in lines[::6]] == [(0, .4),
                                                            (2.4, 2.6)]
    assert len(lines) == 7 and len(lines[0]['scores']) == 3
    table = pd.read_csv(out / 'a.csv')
    assert len(table) == 14 and set(table.name) <= {'sit', 'stand', 'walk'}
    best = lines[3]['best'][0]
    assert table.name[6] == best['name'] in told
    assert table.score[6] == best['score'] == pytest.approx(
        max(lines[3]['scores']), abs=1e-4)
    with av.open(str(out / 'a.mp4')) as video:
        assert sum(1 for _ in video.decode(video=0)) == 26
    assert (out / 'a.png').stat().st_size > 1000
    assert 'real time' in told


def test_wrong_sources_and_chosen_outputs(run, tmp_path):
    with pytest.raises(SystemExit, match='none.mp4'):
        run(tmp_path / 'none.mp4')
    path = write_video(tmp_path / 'b.mp4', 26, rate=10)
    run(path, '--outputs', 'csv', '--seconds', 0.8)
    assert [x.name for x in (tmp_path / 'out').iterdir()] == ['b.csv']
    table = pd.read_csv(tmp_path / 'out/b.csv')
    assert table['clip'].tolist() == [0, 0, 0, 1, 1, 1]


def test_persons_of_a_raw_video(tool, tmp_path, monkeypatch, capsys):
    pytest.importorskip('mmdet')
    init_default_scope('mmaction')
    with DefaultScope.overwrite_default_scope('mmdet'):
        persons = shrink_detector(
            get_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'))
    # With random weights persons are everywhere.
    persons.model.bbox_head.num_classes = 1
    persons.dump(tmp_path / 'persons.py')
    torch.save(build_detector().state_dict(), tmp_path / 'weights.pth')
    cfg = config(
        tmp_path,
        test=dict(
            dataset=box_dataset(tmp_path, False, type='OnlineAVADataset')))
    cfg.model = DETECTOR
    cfg.dump(tmp_path / 'config.py')
    path = write_video(tmp_path / 'a.mp4', 35, rate=10)
    monkeypatch.setattr('sys.argv', [
        'tool', path, '--config',
        str(tmp_path / 'config.py'), '--checkpoint',
        str(tmp_path / 'weights.pth'), '--person-config',
        str(tmp_path / 'persons.py'), '--person-score', '0', '--out-dir',
        str(tmp_path / 'out')
    ])
    tool.main()
    lines = read_lines(tmp_path / 'out/a.jsonl')
    # Keyframes at 1, 2 and 3 s.
    assert [len(x['boxes']) for x in lines] == [20] * 3
    table = pd.read_csv(tmp_path / 'out/a.csv')
    assert len(table) == 3 * 20 * 3 and table.x2.between(0, 1).all()
    # Nothing moves, so that most keep their numbers.
    assert table.person.nunique() < 45
    with av.open(str(tmp_path / 'out/a.mp4')) as video:
        assert sum(1 for _ in video.decode(video=0)) == 35
