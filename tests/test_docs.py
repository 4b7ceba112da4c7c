# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What the pages for newcomers show runs as it stands there."""
import re
from pathlib import Path

import pytest
import torch
from helpers.runs import config as run_config
from helpers.runs import loader, write_weights
from helpers.videos import read_number, write_video
from mmaction.registry import DATASETS, METRICS, MODELS
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.registry import init_default_scope

from mmaction_memvit.datasets import StreamBatchSampler

DOCS = Path(__file__).resolve().parents[1] / 'docs'


def blocks(name):
    """Code that a page shows."""
    return re.findall(
        r'```python\n(.*?)```', (DOCS / name).read_text(), re.S)


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Imports the file that a page shows; gives the page's config."""
    init_default_scope('mmaction')
    monkeypatch.syspath_prepend(str(tmp_path))

    def read(name, module):
        code, config = blocks(name)
        assert len(code.splitlines()) <= 80
        (tmp_path / f'{module}.py').write_text(code)
        return Config.fromstring(config, '.py')

    yield read
    DATASETS.module_dict.pop('EventDataset', None)
    METRICS.module_dict.pop('FlickerMetric', None)


def test_add_a_data_set(page, tmp_path):
    config = page('add_a_data_set.md', 'event_dataset')
    for i, name in enumerate(('a.mp4', 'b.mkv')):
        write_video(tmp_path / 'videos' / name, 100, first=1000 * i)
    # 30 frames a second and 64 to a clip.
    (tmp_path / 'events.csv').write_text(
        'video,seconds,label\nb,1.0,3\na,2.2,1\n')
    assert config.train_dataloader.batch_sampler.type == 'StreamBatchSampler'
    config = config.train_dataloader.dataset
    config.update(data_root=str(tmp_path), index_file=None)
    dataset = DATASETS.build(config)
    assert dataset.stream_keys() == [('b', 0), ('b', 1), ('a', 0), ('a', 1)]
    infos = [dataset.get_data_info(i) for i in range(4)]
    assert [x['label'] for x in infos] == [3, -1, -1, 1]
    assert infos[3]['frame_inds'].tolist() == [*range(64, 100, 4), *[99] * 7]
    batches = list(StreamBatchSampler(
        DefaultSampler(dataset, shuffle=False), batch_size=2))
    assert sorted(batches[0]) == [0, 2] and sorted(batches[1]) == [1, 3]
    sample = dataset[3]
    assert sample['inputs'].shape == (1, 3, 16, 224, 224)
    assert sample['data_samples'].gt_label.tolist() == [1]
    config.pipeline = config.pipeline[:1]
    config.pipeline[0].pop('short_side')
    shown = [read_number(x) for x in DATASETS.build(config)[3]['imgs']]
    assert shown == infos[3]['frame_inds'].tolist()


def test_add_a_metric(page):
    config = page('add_a_metric.md', 'flicker_metric')
    metric = METRICS.build(config.val_evaluator)

    def score(video, position, predicted, label):
        metric.process({},
                       [dict(video_id=video, timestamp=position,
                             pred_score=torch.eye(3)[predicted],
                             gt_label=torch.tensor([label]))])

    # In any order: 1, 1, 2 | 0 of labels 1, 1, 1 | 2.
    for row in (('b', 0, 0, 2), ('a', 2, 2, 1), ('a', 0, 1, 1),
                ('a', 1, 1, 1)):
        score(*row)
    assert metric.evaluate(4) == {
        'flicker/accuracy': 0.5, 'flicker/flicker': 0.5}
    score('a', 0, 1, 1)
    score('a', 0, 2, 1)
    with pytest.raises(ValueError, match="'a', 0"):
        metric.evaluate(2)


def test_any_backbone_remembers():
    text, _ = blocks('any_backbone_remembers.md')
    assert len(text.splitlines()) <= 20
    init_default_scope('mmaction')
    model = MODELS.build(Config.fromstring(text, '.py').model).train()
    clips = torch.rand(2, 3, 8, 32, 32)
    memory, outs = model.init_memory(2), []
    for _ in range(2):
        feats, memory = model.step(clips, memory)
        outs.append(model.cls_head(feats))
    outs[1].sum().backward()
    assert not model.backbone.conv1.conv.weight.requires_grad
    assert (outs[0] - outs[1]).abs().max() > 1e-6
    assert model.neck.embed.weight.grad.abs().max() > 0


def test_any_detector_remembers():
    pytest.importorskip('mmdet')
    _, text = blocks('any_backbone_remembers.md')
    init_default_scope('mmaction')
    # As a part of a detector, which is mmdet's.
    head = MODELS.build(
        dict(Config.fromstring(text, '.py').roi_head, _scope_='mmdet'))
    assert head.temporal_support == 32
    feats = torch.randn(2, 1, 768, 8, 14, 14)
    boxes = [torch.tensor([[0., 0, 90, 200], [80, 10, 200, 220]])]
    _, memory = head.eval().score_boxes(feats[0], boxes, head.init_memory(1))
    remembered, _ = head.score_boxes(feats[1], boxes, memory)
    alone, _ = head.score_boxes(feats[1], boxes)
    assert remembered.shape == (2, 80)
    assert (remembered - alone).abs().max() > 1e-6


def test_live_video(tmp_path, monkeypatch, capsys):
    code, = blocks('live_video.md')
    write_weights(tmp_path / 'epoch_10.pth')
    cfg = run_config(tmp_path, test=loader(tmp_path, train=False))
    cfg.dump(tmp_path / 'config.py')
    # 1 s each, of 4 frames a clip.
    write_video(tmp_path / 'door.mp4', 15, rate=15)
    write_video(tmp_path / 'yard.mkv', 60, rate=60, width=96)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    lines = [x.split() for x in capsys.readouterr().out.splitlines()
             if x.startswith(('door', 'yard'))]
    assert [x[0] for x in lines] == ['door.mp4', 'yard.mkv'] * 8
    assert lines[-1][1] == '0.9'
