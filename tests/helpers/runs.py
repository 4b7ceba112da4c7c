# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""A tiny model on tiny videos, run by MMEngine's runner."""
import copy
import multiprocessing
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmaction.registry import DATASETS, MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.hooks import Hook
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmengine.runner import Runner

from .distributed import spawn_two
from .models import MEMVIT
from .tools import load_tool
from .videos import write_video

ROOT = Path(__file__).resolve().parents[2]
# Frames of a clip. Uneven videos: 6, 5, 4, 3 and 2 clips, two of them padded.
CLIP_LEN = 4
NUM_CLIPS = (6, 5, 4, 3, 2)
NUM_FRAMES = (24, 18, 16, 11, 8)

# Strong weights: what is remembered must show in the losses.
STRONG = [dict(type='TruncNormal', layer='Conv3d', std=0.3),
          dict(type='TruncNormal', layer='Linear', std=0.3, bias=0.),
          dict(type='Constant', layer='LayerNorm', val=1., bias=0.)]
MODEL = dict(type='OnlineRecognizer3D', backbone=dict(MEMVIT, init_cfg=STRONG),
             data_preprocessor=dict(type='ActionDataPreprocessor',
                                    mean=[127.] * 3, std=[64.] * 3,
                                    format_shape='NCTHW'),
             cls_head=dict(type='MViTHead', in_channels=32, num_classes=3,
                           dropout_ratio=0., average_clips='prob'))
META_KEYS = ('video_id', 'timestamp', 'segment_id')
PACK = [dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs', meta_keys=META_KEYS)]
TRAIN_PIPELINE = [
    dict(type='LoadVideoClip'),
    dict(type='PerVideoAugment',
         transforms=[dict(type='RandomResizedCrop', area_range=(0.3, 1.)),
                     dict(type='Resize', scale=(32, 32), keep_ratio=False),
                     dict(type='Flip', flip_ratio=0.5)]),
    *PACK]
TEST_PIPELINE = [dict(type='LoadVideoClip'),
                 dict(type='Resize', scale=(32, 32), keep_ratio=False), *PACK]


def write_videos(folder: Path) -> Path:
    """Writes the videos v0.mp4, v1.mp4, ... and the list videos.txt."""
    lines = []
    for i, num_frames in enumerate(NUM_FRAMES):
        write_video(folder / f'v{i}.mp4', num_frames, first=1000 * i + 77)
        lines.append(f'v{i}.mp4 {i % 3}\n')
    (folder / 'videos.txt').write_text(''.join(lines))
    return folder


def write_weights(path: Path) -> None:
    """Those that ``MODEL`` starts from."""
    init_default_scope('mmaction')
    model = MODELS.build(MODEL)
    model.init_weights()
    torch.save(model.state_dict(), path)


def loader(folder: Path, train: bool, batch_size: int = 2,
           num_workers: int = 0, **dataset) -> dict:
    """Config of a data loader over the videos of :func:`write_videos`."""
    return dict(batch_size=batch_size, num_workers=num_workers,
                persistent_workers=num_workers > 0,
                sampler=dict(type='DefaultSampler', shuffle=train),
                batch_sampler=dict(type='StreamBatchSampler'),
                dataset={
                    **dict(type='OnlineVideoDataset',
                           ann_file=str(folder / 'videos.txt'),
                           data_prefix=dict(video=str(folder)),
                           clip_len=CLIP_LEN, frame_interval=1,
                           pipeline=TRAIN_PIPELINE if train else TEST_PIPELINE,
                           test_mode=not train),
                    **dataset})


@DATASETS.register_module(force=True)
class MadeUpStreams:
    """Clips of noise, without files.

    Videos of ``lengths`` clips are called 'v0', 'v1', ...; the label of one is
    its number modulo 3 unless ``labels`` say.
    """
    metainfo: dict = {}

    def __init__(self, lengths: Sequence[int],
                 labels: Optional[Sequence[int]] = None,
                 test_mode: bool = False) -> None:
        self.keys = [(v, p) for v, n in enumerate(lengths) for p in range(n)]
        self.labels = labels or [v % 3 for v in range(len(lengths))]
        self.test_mode = test_mode

    def stream_keys(self) -> list:
        """Video and position of every clip."""
        return [(f'v{v}', p) for v, p in self.keys]

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> dict:
        video, position = self.keys[index]
        gen = torch.Generator().manual_seed(1000 * video + position)
        size = (1, 3, CLIP_LEN, 32, 32)
        sample = ActionDataSample(
            metainfo=dict(video_id=f'v{video}', timestamp=position))
        return dict(
            inputs=torch.randint(256, size, generator=gen).to(torch.uint8),
            data_samples=sample.set_gt_label(self.labels[video]))


def made_up_loader(lengths: Sequence[int], train: bool, batch_size: int = 2,
                   streams: bool = True, **dataset) -> dict:
    """Config of a data loader of :class:`MadeUpStreams`.

    Without ``streams`` no StreamBatchSampler keeps the clips of a video in
    order; ``dataset`` are further arguments of the data set.
    """
    cfg = dict(batch_size=batch_size, num_workers=0,
               sampler=dict(type='DefaultSampler', shuffle=train),
               dataset=dict(type='MadeUpStreams', lengths=lengths,
                            test_mode=not train, **dataset))
    if streams:
        cfg['batch_sampler'] = dict(type='StreamBatchSampler')
    return cfg


def config(work_dir: Path, train: Optional[dict] = None,
           val: Optional[dict] = None, test: Optional[dict] = None,
           epochs: int = 1, **changes) -> Config:
    """Config of a run with these data loaders, with ``changes`` merged in."""
    cfg = dict(
        default_scope='mmaction',
        custom_imports=dict(
            imports=['mmaction_memvit'], allow_failed_imports=False),
        custom_hooks=[dict(type='MemoryBankHook')],
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1000),
                           checkpoint=dict(type='CheckpointHook', interval=1)),
        work_dir=str(work_dir),
        # Loggers and message hubs are found by this name.
        experiment_name=str(work_dir).replace('/', '_'), model=MODEL,
        randomness=dict(seed=3))
    if train is not None:
        cfg.update(
            train_dataloader=train,
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=epochs),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3,
                                              weight_decay=0.05),
                               clip_grad=dict(max_norm=1.)),
            param_scheduler=[dict(type='CosineAnnealingLR', T_max=8,
                                  by_epoch=True, convert_to_iter_based=True)])
    if val is not None:
        cfg.update(val_dataloader=val,
                   val_evaluator=dict(type='VideoAccMetric'),
                   val_cfg=dict(type='ValLoop'))
    if test is not None:
        cfg.update(test_dataloader=test,
                   test_evaluator=dict(type='VideoAccMetric'),
                   test_cfg=dict(type='TestLoop'))
    cfg = Config(copy.deepcopy(cfg))
    cfg.merge_from_dict(changes)
    return cfg


def iteration_based(cfg: Config, max_iters: int, **kwargs) -> Config:
    """Changes a config from epochs to iterations."""
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop', max_iters=max_iters, **kwargs)
    cfg.param_scheduler = [dict(type='CosineAnnealingLR', T_max=100,
                                by_epoch=False)]
    cfg.default_hooks.checkpoint.by_epoch = False
    cfg.log_processor = dict(by_epoch=False)
    return cfg


class Recorder(Hook):
    """Keeps the loss of every training step, and the scores of every clip."""

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self.losses: List[float] = []
        self.clips: List[list] = []
        self.scores: dict = {}

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None) -> None:
        """Keep a step's loss, and which clips it was about."""
        self.losses.append(outputs['loss'].item())
        # Stock data sets do not name their clips.
        self.clips.append([(x.get('video_id'), x.get('timestamp'))
                           for x in data_batch['data_samples']
                           if hasattr(x, 'get')])

    def after_val_iter(self, runner, batch_idx, data_batch=None,
                       outputs=None) -> None:
        """Keep the scores of a step."""
        for x in outputs:
            name = x.get('video_id'), x.get('timestamp')
            self.scores[name] = (x.pred_instances.scores
                                 if 'pred_instances' in x else x.pred_score)

    def after_test_iter(self, *args, **kwargs) -> None:
        """Keep the scores of a step."""
        self.after_val_iter(*args, **kwargs)


def make_runner(cfg: Config, hooks: Sequence[Hook] = ()) -> Runner:
    """Builds the runner, with a :class:`Recorder` as ``recorder``."""
    torch.set_num_threads(1)
    runner = Runner.from_cfg(cfg)
    runner.recorder = Recorder()
    for hook in (runner.recorder, *hooks):
        runner.register_hook(hook)
    return runner


def close(runner: Runner) -> None:
    """Ends data loader workers that would live on.

    Left to the garbage collector, each would be waited for 5 s: the queue
    that tells it to end may be collected first.
    """
    for loop in (runner._train_loop, runner._val_loop):
        iterator = getattr(getattr(loop, 'dataloader', None), '_iterator',
                           None)
        if iterator is not None:
            iterator._shutdown_workers()


def train(cfg: Config, hooks: Sequence[Hook] = ()) -> Runner:
    """Trains."""
    runner = make_runner(cfg, hooks)
    runner.train()
    close(runner)
    return runner


def read_log(runner: Runner) -> str:
    """What the runner has logged."""
    return ''.join(p.read_text() for p in Path(runner.log_dir).glob('*.log'))


def assert_same(losses: Sequence[float], others: Sequence[float]) -> None:
    """Equal losses, of which no two steps have the same."""
    assert len(losses) == len(others) > 0
    assert len(set(losses)) > len(losses) // 2
    np.testing.assert_allclose(losses, others, atol=1e-6, rtol=0)


def launch(folder: Path, cfg: Config, *arguments: str) -> str:
    """Runs tools/dist_train.sh in a folder, on two processes without a GPU.

    Gives its output.
    """
    dump_for_two(folder, cfg)
    done = subprocess.run(
        ['bash', str(ROOT / 'tools/dist_train.sh'), 'two.py', '2', *arguments],
        cwd=str(folder),
        env=dict(os.environ, PORT=str(free_port()), PYTHON=sys.executable,
                 PYTHONPATH=str(folder), CUDA_VISIBLE_DEVICES='',
                 OMP_NUM_THREADS='1'),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def dump_for_two(folder: Path, cfg: Config) -> None:
    """Writes two.py, a config for two processes."""
    cfg.env_cfg = dict(
        mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
        dist_cfg=dict(backend='gloo'))
    cfg.experiment_name += '_two'
    cfg.dump(str(folder / 'two.py'))


def fork_two(tool: str, folder: Path, cfg: Config, *arguments: str) -> str:
    """Does what :func:`launch` does in two forks of this process.

    ``tool`` is 'train' or 'test'.
    """
    dump_for_two(folder, cfg)
    return run_by_two(f'tools/{tool}.py', folder, 'two.py', *arguments)


def run_by_two(tool: str, folder: Path, *arguments: str) -> str:
    """Runs a script in two forks as torchrun would; gives what it printed."""
    spawn_two(one_of_two, free_port(), tool, folder, arguments)
    return (folder / 'printed.txt').read_text()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def one_of_two(rank: int, port: int, tool: str, folder: Path,
               arguments: Sequence[str]) -> None:
    """Runs a script as a process of torchrun."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2',
                      MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    os.chdir(folder)
    multiprocessing.set_start_method(None, force=True)
    with open('printed.txt', 'a') as printed:
        sys.stdout = sys.stderr = printed
        sys.argv = [tool, *arguments, '--launcher', 'pytorch']
        load_tool(tool).main()


def on_two_processes(folder: Path, cfg: Config,
                     checkpoint: str) -> Tuple[dict, dict]:
    """Tests on two processes: metrics, and samples by video and time."""
    fork_two('test', folder, cfg, checkpoint, '--dump', 'two.pkl')
    path, = (folder / cfg.work_dir).glob('*/*.json')
    metrics = {k: v for k, v in load(str(path)).items() if '/' in k}
    return metrics, {(x['video_id'], x['timestamp']): x
                     for x in load(str(folder / 'two.pkl'))}


def learning_rates(cfg: Config, epoch: int) -> np.ndarray:
    """The rate of every iteration of a config's training, and after it.

    Args:
        cfg (Config): The config.
        epoch (int): Iterations of an epoch. What the config says in
            iterations ends after a fifth of it: epochs are longer in earnest.
    """
    optim = torch.optim.SGD([torch.zeros(1, requires_grad=True)],
                            lr=cfg.optim_wrapper.optimizer.lr)
    schedulers = []
    for node in cfg.param_scheduler:
        node = dict(node)
        cls = PARAM_SCHEDULERS.get(node.pop('type'))
        if not node.get('by_epoch', True):
            node['end'] = epoch // 5
        if node.pop('convert_to_iter_based', False):
            schedulers.append((1, cls.build_iter_from_epoch(
                optim, **node, epoch_length=epoch)))
        else:
            step = epoch if node['by_epoch'] else 1
            schedulers.append((step, cls(optim, **node)))
    found = [optim.param_groups[0]['lr']]
    for i in range(1, cfg.train_cfg.max_epochs * epoch + 1):
        for step, scheduler in schedulers:
            if i % step == 0:
                scheduler.step()
        found.append(optim.param_groups[0]['lr'])
    return np.asarray(found)
