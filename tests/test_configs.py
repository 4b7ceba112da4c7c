# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Every config trains and tests, with a tiny model on tiny videos."""
import ast
from pathlib import Path

import pytest
import torch
from helpers.config_data import MODES, NUM_CLIPS, every_dict, write_data
from helpers.runs import Recorder
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.runner import Runner

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
EVERY = sorted(p for p in CONFIGS.rglob('*.py') if '_base_' not in p.parts)
# Of each metric, a measure.
SCORES = ('acc/top1', 'mAP/overall', 'epic/action_top1',
          'epic/action_recall5', 'epic/verb_recall5', 'multi_label/mAP')
# Sizes of images, and what becomes of them.
SHRUNK = {224: 32, 256: 36, 312: 36, 320: 40, 340: 40}
ARCH = dict(
    embed_dims=16, num_layers=4, num_heads=1, downscale_indices=[1, 2, 3])
# Transforms that need packages which the tests do not install.
OPTIONAL = ('PytorchVideoWrapper', 'ImgAug', 'TorchVisionWrapper')


def code_lines(path):
    lines = map(str.strip, path.read_text().splitlines())
    return [x for x in lines if x and not x.startswith('#')]


def test_a_stock_config_becomes_one_of_epic_in_30_lines():
    path, = CONFIGS.rglob('slowfast_r50*_epic100-rgb.py')
    lines = code_lines(path)
    assert len(lines) <= 30
    # It says all that is changed in MMAction2's own config.
    assert 'mmaction::recognition/slowfast/' in lines[0]
    assert not own_bases(path)


def own_bases(path):
    """Configs of this project that a config names as its base."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            names = ast.literal_eval(node.value)
            names = [names] if isinstance(names, str) else names
            return [(path.parent / x).resolve() for x in names
                    if '::' not in x]
    return []


def levels(path):
    return 1 + max(map(levels, own_bases(path)), default=0)


def test_inheritance_is_shallow():
    assert len(EVERY) >= 55
    assert not [path for path in EVERY if levels(path) > 3]


def shrink_numbers(node):
    """Makes the images of a pipeline small."""
    if isinstance(node, dict):
        return ConfigDict({k: shrink_numbers(v) for k, v in node.items()})
    if isinstance(node, (list, tuple)):
        return type(node)(shrink_numbers(x) for x in node)
    if isinstance(node, int) and not isinstance(node, bool):
        return SHRUNK.get(node, node)
    return node


def shrink_collaborative(model):
    """Narrow layers; few ones, where nothing is told of single blocks."""
    backbone = model.backbone
    paths = [backbone[k] for k in ('slow_pathway', 'fast_pathway')
             if k in backbone] or [backbone]
    plain = not any('non_local' in p or isinstance(p.inflate[-1], tuple)
                    for p in paths if 'inflate' in p)
    channels = []
    for path, width in zip(paths, (8, 1)):
        path.base_channels = width * (1 if plain or len(paths) == 1 else 4)
        path.depth = 18 if plain else 50
        if 'non_local' in path:
            # Of 23 blocks of a stage the last 6.
            path.non_local = tuple(x[-6:] for x in path.non_local)
        channels.append(path.base_channels * (8 if plain else 32))
    model.cls_head.in_channels = sum(channels)
    if model.neck is not None:
        model.neck.in_channels = tuple(channels)[:1 + isinstance(
            model.neck.in_channels, (tuple, list))]
        if len(model.neck.in_channels) == 1:
            model.neck.in_channels = channels[0]


def shrink_windows(model):
    """Narrow layers of a detector whose clips share a memory."""
    backbone, channels = model.backbone, [64]
    if 'slow_pathway' in backbone:
        backbone.slow_pathway.update(depth=18, base_channels=8)
        backbone.fast_pathway.update(depth=18, base_channels=1)
        channels = [64, 8]
    elif backbone.depth == 50:
        backbone.base_channels = 2
    else:
        channels = [backbone.base_channels * 8]
    if model.neck is not None:
        model.neck.in_channels = channels if channels[1:] else channels[0]
    model.roi_head.bbox_head.in_channels = sum(channels)


def shrink_model(model):
    """Few and narrow layers; all that is said of memory stays."""
    memory = {k: v for k, v in model.backbone.items() if k.startswith('mem_')}
    if 'Pretrained' in str(model.backbone.get('init_cfg')):
        # They would have to be fetched.
        model.backbone.init_cfg = None
    if model.type == 'CollaborativeRecognizer3D':
        shrink_collaborative(model)
        return memory
    if model.type == 'CollaborativeFastRCNN':
        shrink_windows(model)
        return memory
    if model.get('cls_head', {}).get('type') == 'AVTHead':
        model.cls_head.update(dims=32, num_layers=2, num_heads=2)
    dims = ARCH['embed_dims'] * 2**len(ARCH['downscale_indices'])
    if model.backbone.type == 'FeatureBackbone':
        return memory
    if model.backbone.type == 'XViT':
        model.backbone.update(
            arch=dict(embed_dims=32, num_layers=2, num_heads=2),
            patch_size=8, spatial_size=32)
        model.cls_head.get('head', model.cls_head).in_channels = 32
        return memory
    if model.backbone.type.endswith('VisionTransformer'):
        model.backbone.update(
            img_size=32, embed_dims=dims, depth=2, num_heads=2)
        if 'roi_head' in model:
            model.roi_head.transformer.update(
                in_channels=dims, embed_dims=dims)
            model.roi_head.bbox_head.in_channels = dims
        else:
            model.neck.update(in_channels=dims, embed_dims=dims)
            model.cls_head.in_channels = dims
        return memory
    if model.backbone.type.split('.')[-1] == 'ResNet3d':  # the demos'
        return memory
    if 'roi_head' in model:
        # The demo's detectors are tiny as they are.
        if not isinstance(model.backbone.arch, str):
            return memory
        if model.roi_head.box_block is not None:
            model.roi_head.box_block.dims = dims
        model.roi_head.bbox_head.in_channels = dims
    elif model.backbone.type == 'ResNet3dSlowFast':
        model.backbone.slow_pathway.base_channels = 8
        model.backbone.fast_pathway.base_channels = 1
        model.cls_head.head.in_channels = 8 * 32 + 1 * 32
        return memory
    elif not isinstance(model.backbone.get('arch'), str):
        # A demo's, tiny as it is.
        return memory
    else:
        # One head, or one for each of several tasks.
        model.cls_head.get('head', model.cls_head).in_channels = dims
    model.backbone.arch = ConfigDict(ARCH)
    if not isinstance(model.backbone.get('mem_layers', 'even'), str):
        model.backbone.mem_layers = memory['mem_layers'] = [0, 2]
    model.backbone.spatial_size = shrink_numbers(
        model.backbone.get('spatial_size', 224))
    return memory


def shrink_data(loader, folder):
    """Takes the videos of the test, and small images of them."""
    loader.num_workers = 0
    loader.persistent_workers = False
    # Of no use without a GPU, which PyTorch would say each time.
    loader.pop('pin_memory', None)
    loader.batch_size = min(loader.batch_size, 2)
    if 'unroll' in loader.get('batch_sampler', {}):
        # More than one step must show.
        loader.batch_sampler.unroll = 2
    for dataset in every_dict(loader.dataset):
        if 'ann_file' not in dataset:
            continue
        if dataset.type == 'CollaborativeAVADataset':
            # Of 2 and 3 seconds.
            dataset.short_video = 'repeat'
        if not any(x in dataset.type for x in ('AVADataset', 'EpicDataset',
                                               'Charades')):
            name = dataset.get('ann_format', 'video')
            dataset.ann_file = str(folder / f'{name}.txt')
        if dataset.type == 'FeatureStreamDataset':
            dataset.clip_len = 1
        kind = 'img' if dataset.type == 'RawframeDataset' else 'video'
        if 'feature' in dataset.get('data_prefix', ()):
            kind = 'feature'
        dataset.data_prefix = ConfigDict({kind: str(folder)})
        dataset.pop('data_root', None)
        # Frames are counted instead.
        dataset.pop('index_file', None)
        dataset.pipeline = shrink_numbers(
            [step for step in dataset.pipeline if step.type not in OPTIONAL])
        for step in dataset.pipeline:
            if step.get('num_clips', 0) > 2:
                step.num_clips = 2


def shrink_clips(cfg):
    """Half as many frames, at least two videos, which normalisation needs."""
    cfg.model.pop('init_cfg', None)
    cfg.train_dataloader.batch_size = 2
    for mode in MODES:
        for step in cfg[f'{mode}_dataloader'].dataset.pipeline:
            if 'clip_len' in step:
                step.clip_len = max(step.clip_len % 64 // 2, 8)
        if mode != 'train':
            cfg[f'{mode}_dataloader'].dataset.indices = 2
    for scheduler in cfg.param_scheduler:
        if not scheduler.by_epoch:
            # No warm-up: two steps must show.
            scheduler.update(start_factor=1., end=2)


def shrink(cfg, folder):
    """A config as it stands, but for its size."""
    if cfg.model.type == 'CollaborativeRecognizer3D':
        shrink_clips(cfg)
    elif cfg.model.type == 'CollaborativeFastRCNN':
        # Normalisation needs two videos.
        cfg.train_dataloader.batch_size = 2
    write_data(folder, cfg)
    memory = shrink_model(cfg.model)
    for name in MODES:
        shrink_data(cfg[f'{name}_dataloader'], folder)
    cfg.work_dir = str(folder / 'run')
    cfg.experiment_name = str(folder).replace('/', '_')
    cfg.load_from = None
    cfg.train_cfg.max_epochs = 1
    cfg.default_hooks.checkpoint.interval = 1000
    cfg.default_hooks.checkpoint.save_best = None
    cfg.default_hooks.checkpoint.save_last = False
    cfg.log_level = 'WARNING'
    cfg.randomness = dict(seed=0)
    return memory


class StartWeights(Hook):
    """Keeps the weights as training finds them."""

    def before_train(self, runner):
        self.weights = {k: v.detach().clone()
                        for k, v in runner.model.named_parameters()}


# Of online action detection: test_online_detection_end_to_end.py.
@pytest.mark.parametrize(
    'path', [x for x in EVERY if 'online_detection' not in x.parts],
    ids=lambda p: p.stem)
def test_config_trains_and_tests(path, tmp_path, monkeypatch):
    if 'detection' in path.parts:
        pytest.importorskip('mmdet')
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    cfg = Config.fromfile(str(path))
    assert 'base_batch_size' in cfg.auto_scale_lr
    memory = shrink(cfg, tmp_path)
    runner = Runner.from_cfg(cfg)
    recorder = Recorder()
    runner.register_hook(recorder)
    start = StartWeights()
    runner.register_hook(start)

    runner.train()
    assert len(runner.param_schedulers) == len(cfg.param_scheduler)
    assert recorder.losses and all(0 < x < 1000 for x in recorder.losses)
    before, after = start.weights, dict(runner.model.named_parameters())
    same = [k for k in before if torch.equal(before[k], after[k])]
    frozen = [k for k in before if k.startswith('backbone.')
              and (cfg.model.get('freeze_backbone')
                   or not after[k].requires_grad)]
    assert set(frozen) <= set(same)
    # A bias of all keys or of single queries gets no or next to no gradient.
    assert len(same) - len(frozen) < len(before) / 4, same
    if cfg.model.type == 'CollaborativeRecognizer3D':
        assert not [k for k in same if k.startswith('neck.') and 'weight' in k]
    mem_len = memory.get('mem_len', 2)
    if cfg.model.backbone.type.endswith('MeMViT'):
        assert runner.model.backbone.mem_len == mem_len
    else:
        parts = [cfg.model.get('neck') or {},
                 cfg.model.get('roi_head', {}).get('transformer', {})]
        mem_len = max(x.get('mem_len', x.get('work_len', 0)) for x in parts)
    if cfg.model.get('cls_head', {}).get('type') == 'AVTHead':
        mem_len = max(mem_len, runner.model.cls_head.mem_len)
    if cfg.model.type in ('OnlineRecognizer3D', 'OnlineFastRCNN'):
        # 1.5 to 3 clips are 2 to 3, with the last ones padded.
        assert len({video for step in recorder.clips for video, _ in step
                    }) == len(NUM_CLIPS)
        hooks = [type(hook).__name__ for hook in runner.hooks]
        assert 'MemoryBankHook' in hooks
        continued = (runner.model.banks['train'].num_continued
                     if runner.model.with_memory else 0)
        assert (continued > 0) == (mem_len > 0)

    metrics = runner.test()
    score = next(metrics[k] for k in SCORES if k in metrics)
    assert 0 <= score <= 1
