# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""MMAction2's other tools and interfaces on models that remember."""
import re
import runpy
import sys
from pathlib import Path

import mmaction
import numpy as np
import pytest
import torch
from helpers.models import MEMVIT, SLOWONLY
from helpers.runs import config, loader, make_runner, read_log, train
from helpers.runs import write_videos as write_clips
from helpers.tools import load_tool
from mmengine.config import Config
from mmengine.fileio import dump, load

TOOLS = Path(mmaction.__file__).parent / '.mim/tools'


@pytest.fixture
def tool(monkeypatch, capsys):
    """Runs a tool of MMAction2 in this process; returns what it printed."""

    def run(path, *arguments):
        monkeypatch.setattr(sys, 'argv', [path, *map(str, arguments)])
        runpy.run_path(str(TOOLS / path), run_name='__main__')
        return capsys.readouterr().out

    return run


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp('videos'))


@pytest.fixture(scope='module')
def trained(videos):
    """A run of an epoch, with its folder and its checkpoint."""
    cfg = config(videos / 'run', train=loader(videos, train=True),
                 val=loader(videos, train=False))
    cfg.default_hooks.logger.interval = 1
    runner = train(cfg)
    return runner, str(videos / 'run/epoch_1.pth')


@pytest.fixture
def testing(videos, tmp_path):
    """A config that tests, in the folder of the test."""
    return config(tmp_path / 'test', test=loader(videos, train=False))


class TestGetFlops:

    @staticmethod
    def count(tool, tmp_path, model, *shape):
        path = tmp_path / 'model.py'
        Config(
            dict(
                default_scope='mmaction',
                custom_imports=dict(
                    imports=['mmaction_memvit'], allow_failed_imports=False),
                model=model)).dump(str(path))
        printed = tool('analysis_tools/get_flops.py', path, '--shape', *shape)
        return re.search('Flops: ([^\n]+)', printed)[1]

    def test_memory_counts(self, tool, tmp_path):
        flops = [
            self.count(
                tool, tmp_path,
                dict(
                    type='OnlineRecognizer3D',
                    backbone=dict(MEMVIT, mem_len=num),
                    cls_head=dict(
                        type='MViTHead', in_channels=32, num_classes=3)), 1, 3,
                4, 32, 32) for num in (0, 2, 4)]
        flops = [float(x[:-1]) * dict(M=1, G=1000)[x[-1]] for x in flops]
        assert 0 < flops[0] < flops[1] < flops[2]

    def test_clips_that_share_a_memory(self, tool, tmp_path):
        found = self.count(
            tool, tmp_path,
            dict(type='CollaborativeRecognizer3D', backbone=SLOWONLY,
                 neck=dict(type='CollaborativeMemory', in_channels=32),
                 cls_head=dict(type='I3DHead', in_channels=32, num_classes=3)),
            4, 3, 4, 32, 32)
        assert float(found[:-1]) > 0

    def test_detector(self, tool, tmp_path):
        pytest.importorskip('mmdet')
        from helpers.boxes import DETECTOR
        size = DETECTOR['backbone']['spatial_size']
        length = DETECTOR['backbone']['temporal_size']
        found = {
            self.count(tool, tmp_path, DETECTOR, *shape)
            for shape in ((1, 3, length, size, size), (3, length, size, size))}
        assert len(found) == 1


def clips_of_streams(segment=False):
    """Dumped clips whose scores say the right class on average only."""
    samples = []
    for video, label in enumerate((0, 1, 1, 2)):
        for time, scores in enumerate(([.2, .2, .2], [0, 0, 0])):
            scores = torch.tensor(scores, dtype=torch.float)
            # Wrong by a little in one clip, right by much in the other.
            scores[(label + 1) % 3] += .4 if time == 0 else .1
            scores[label] += .0 if time == 0 else .9
            samples.append(dict(pred_score=scores,
                                gt_label=torch.tensor([label]),
                                video_id='one' if segment else f'v{video}',
                                timestamp=2 * video + time,
                                segment_id=f's{video}' if segment else ''))
    samples.append(dict(samples[0], timestamp=99, gt_label=torch.tensor([-1])))
    return samples


@pytest.mark.parametrize('segment', [False, True])
class TestConfusionMatrix:

    def test_tool_of_mmaction2(self, tool, tmp_path, segment):
        """Which runs here as the plugin has been imported."""
        dump(clips_of_streams(segment), tmp_path / 'scores.pkl')
        (tmp_path / 'config.py').write_text('test_dataloader = dict()')
        tool('analysis_tools/confusion_matrix.py', tmp_path / 'config.py',
             tmp_path / 'scores.pkl', '--out', tmp_path / 'matrix.pkl')
        matrix = np.asarray(load(tmp_path / 'matrix.pkl'))
        np.testing.assert_array_equal(matrix, np.diag([1, 2, 1]))

    def test_our_tool(self, tmp_path, capsys, segment):
        ours = load_tool('tools/analysis_tools/confusion_matrix.py')
        samples = clips_of_streams(segment)
        for sample in samples[2:4]:
            sample['pred_score'] = torch.tensor([0., 0., 1.])
        dump(samples, tmp_path / 'scores.pkl')
        (tmp_path / 'names.txt').write_text('run\nwalk\nsit\n')
        assert not ours.main([str(tmp_path / 'scores.pkl'), '--label-file',
                              str(tmp_path / 'names.txt'), '--out',
                              str(tmp_path / 'm.csv')])
        rows = [x.split() for x in capsys.readouterr().out.splitlines()]
        assert ['walk', '2', '1', '0.5000', 'sit', '(1)'] in rows
        assert ['all', '4', '3', '0.7500'] in rows
        assert 'walk,0,1,1' in (tmp_path / 'm.csv').read_text()


def test_confusion_matrix_of_what_has_no_classes(tmp_path, capsys):
    ours = load_tool('tools/analysis_tools/confusion_matrix.py')
    dump([dict(pred_instances={})], tmp_path / 'boxes.pkl')
    assert ours.main([str(tmp_path / 'boxes.pkl')]) == 2
    assert 'AVADetectionMetric' in capsys.readouterr().err


def test_a_dump_that_lacks_a_clip_is_not_measured(tool, testing, trained,
                                                  tmp_path):
    testing.load_from = trained[1]
    metric, path = testing.test_evaluator, tmp_path / 'scores.pkl'
    testing.test_evaluator = [
        metric, dict(type='DumpResults', out_file_path=str(path))]
    make_runner(testing).test()
    testing.test_evaluator = metric
    testing.dump(str(tmp_path / 'c.py'))
    samples = load(path)
    arguments = ('analysis_tools/eval_metric.py', tmp_path / 'c.py', path)
    assert 'acc/top1' in tool(*arguments)
    lost = samples.pop(7), samples.pop(15)
    dump(samples, path)
    with pytest.raises(ValueError, match='2 of the 20 clips') as error:
        tool(*arguments)
    for sample in lost:
        key = sample['video_id'], sample['timestamp']
        assert repr(key) in str(error.value)


def test_stock_samples_are_counted_as_before():
    from mmaction.evaluation import ConfusionMatrix
    from mmengine.evaluator import Evaluator
    samples = [dict(pred_score=torch.eye(3)[k], gt_label=torch.tensor([1]))
               for k in (0, 1)]
    found = Evaluator(ConfusionMatrix()).offline_evaluate(samples)
    assert found['confusion_matrix/result'][1].tolist() == [1, 1, 0]


def test_show_dir(testing, trained, tmp_path):
    testing.load_from = trained[1]
    testing.vis_backends = [dict(type='LocalVisBackend')]
    testing.visualizer = dict(
        type='ActionVisualizer', vis_backends=testing.vis_backends)
    testing.default_hooks.visualization = dict(type='VisualizationHook',
                                               enable=True, interval=1,
                                               out_dir=str(tmp_path / 'shown'))
    make_runner(testing).test()
    shown = {p.parent for p in (tmp_path / 'shown').rglob('*.png')}
    # One folder a clip: of five videos of 6, 5, 4, 3 and 2.
    assert len(shown) == 20


def test_mmaction2_inferencer_names_what_does(testing, trained, tmp_path):
    from mmaction.apis.inferencers import MMAction2Inferencer
    testing.dump(str(tmp_path / 'c.py'))
    with pytest.raises(ValueError, match='StreamInferencer'):
        MMAction2Inferencer(str(tmp_path / 'c.py'), trained[1], device='cpu')


FOREIGN = {'a.weight': torch.zeros(3), 'b.weight': torch.zeros(2)}


@pytest.mark.parametrize('ours', [True, False])
def test_a_foreign_checkpoint_gives_no_accuracy(tool, testing, tmp_path,
                                                capsys, monkeypatch, ours):
    torch.save(dict(state_dict=FOREIGN), tmp_path / 'foreign.pth')
    testing.dump(str(tmp_path / 'c.py'))

    def run(*options):
        arguments = [tmp_path / 'c.py', tmp_path / 'foreign.pth', *options]
        if not ours:
            return tool('test.py', *arguments)
        monkeypatch.setattr(sys, 'argv', ['test.py', *map(str, arguments)])
        load_tool('tools/test.py').main()
        return capsys.readouterr().out

    with pytest.raises(ValueError, match='foreign.pth: 0 of the'):
        run()
    assert 'acc/top1' not in capsys.readouterr().out
    run('--cfg-options', 'any_checkpoint_fits=True')
    log = ''.join(p.read_text() for p in tmp_path.rglob('*.log'))
    assert 'acc/top1' in log and '0 of the' in log


def test_how_a_model_was_initialised_is_told_in_few_lines(trained):
    log = read_log(trained[0])
    first = re.split(r'Epoch\(train\)', log)[0].splitlines()
    parameters = len(list(trained[0].model.parameters()))
    assert sum('Initialized by' in x or 'Init:' in x for x in first) < 12
    assert f'{parameters} parameters of the OnlineRecognizer3D' in log
