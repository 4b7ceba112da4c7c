# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Models to measure, by name or config, with made-up clips for them.

A subject has a ``model``, and ``how`` it is run. ``make`` gives the state of a
stream of noise, with ``clips``, how many a step takes; ``forward`` the loss,
or scores, of its next clips; ``giga_macs`` the multiply-adds of a clip in
inference, to be counted where the model was built, on the CPU.
"""
import re
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Optional, Union

import torch
import torch.nn.functional as F
from mmaction.models.recognizers import Recognizer2D
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmaction_memvit.apis import vectors_a_clip
from mmaction_memvit.memory import (
    ClipIdentity,
    MemoryHost,
    WindowDataSample,
)
from mmaction_memvit.models.heads import AVTHead, FrameLevelHead

from .costs import feature_channels, macs_of, scores_of, without_counts
from .sampling import clips_of, vectors_of

NAMES = ('mvit-ARCH, memvit[-ARCH]-mM[gGAP][-uK][-cp], xvit-ARCH, vit-ARCH '
         'or a config file')
PATTERN = re.compile(r'(?P<kind>mvit|memvit|xvit|vit)'
                     r'(-(?P<arch>tiny|small|base))?'
                     r'(-m(?P<mem_len>\d+)(g(?P<gap>\d+))?)?'
                     r'(-u(?P<unroll>\d+))?(?P<cp>-cp)?')
FRAMES = dict(tiny=8, small=16, base=32)
FRAMES_XVIT = 16
TINY = dict(
    embed_dims=32, num_layers=4, num_heads=1, downscale_indices=[1, 2, 3])
NUM_CLASSES = 400
# Of each clip, for detectors.
NUM_BOXES = 5
WAYS = ('eager', 'compile', 'graph')


class Classifier(MemoryHost, nn.Module):
    """A backbone with a linear head on its class token."""

    def __init__(self, backbone: nn.Module, channels: int,
                 with_cp: bool = False) -> None:
        super().__init__(with_cp=with_cp)
        self.backbone = backbone
        self.fc = nn.Linear(channels, NUM_CLASSES)

    def memory_parts(self) -> tuple:
        return (self.backbone, )

    def step(self, clips: Tensor, memory: tuple = (None, ),
             elapsed: object = None) -> tuple:
        scores, memory = self(clips, *memory)
        return scores, (memory, )

    def forward(self, x: Tensor, memory: Optional[tuple]) -> tuple:
        """Scores of clips, and the next memory."""
        if memory is None:
            return self.fc(self.backbone(x)[-1][1]), None
        feats, memory = self.backbone(x, memory)
        return self.fc(feats[-1][1]), memory


class NamedSubject:
    """MeMViT, MMAction2's MViT or X-ViT, with a linear head.

    The name is such as 'memvit-m2', 'memvit-base-m4g2-cp', 'mvit-small',
    'xvit-base', or 'vit-base', which is the latter without a look across
    frames: an image transformer on each of them.
    """

    def __init__(self, name: str, how: str, size: int) -> None:
        found = PATTERN.fullmatch(name)
        if found is None:
            raise ValueError(f'no model is called {name!r}: {NAMES}')
        self.how, self.size = how, size
        arch = found['arch'] or 'small'
        self.frames = FRAMES[arch]
        mem_len = int(found['mem_len'] or 0)
        self.unroll = int(found['unroll'] or 1)
        self.remembers = found['kind'] == 'memvit' and mem_len > 0
        cfg = dict(arch=TINY if arch == 'tiny' else arch,
                   temporal_size=self.frames, spatial_size=size)
        is_image = found['kind'] in ('xvit', 'vit')
        if found['kind'] == 'mvit':
            cfg['type'] = 'mmaction.MViT'
        elif is_image:
            self.frames = FRAMES_XVIT
            cfg = dict(type='XViT', arch=arch, spatial_size=size)
            if found['kind'] == 'vit':
                cfg.update(window=0, temporal_head='average')
        else:
            cfg.update(type='MeMViT', mem_len=mem_len,
                       mem_stride=int(found['gap'] or 1),
                       with_cp=found['cp'] is not None and self.unroll == 1)
        # PyTorch's own initialisation will do, init_weights takes seconds.
        backbone = MODELS.build(cfg)
        channels = backbone.embed_dims if is_image else (
            256 if arch == 'tiny' else 768)
        self.model = Classifier(backbone, channels, found['cp'] is not None)
        self.call = self.model
        if how == 'compile':
            self.call = torch.compile(self.model, dynamic=False)

    def start(self, batch_size: int) -> Optional[tuple]:
        """Memory at the start of streams, None without one."""
        if not self.remembers:
            return None
        return self.model.backbone.init_memory(batch_size,
                                               (self.size, self.size))

    def giga_macs(self) -> float:
        x = torch.randn(1, 3, self.frames, self.size, self.size)
        self.model.eval()
        return macs_of(lambda: self.model(x, self.start(1))) / 1e9

    def make(self, batch_size: int, device: torch.device) -> SimpleNamespace:
        size = self.size, self.size
        clips = batch_size * self.unroll
        return SimpleNamespace(
            clips=clips,
            x=torch.randn(clips, 3, self.frames, *size, device=device),
            y=torch.randint(NUM_CLASSES, (clips, ), device=device),
            memory=self.start(clips), position=0)

    def forward(self, state: SimpleNamespace, train: bool) -> Tensor:
        if train and self.unroll > 1:
            return self.window(state)
        scores, memory = self.call(state.x, state.memory)
        if memory is not None:
            state.memory = memory.detach()
        if not train:
            return scores
        return F.cross_entropy(scores.float(), state.y)

    def window(self, state: SimpleNamespace) -> Tensor:
        """The loss of K clips in a row of each lane."""
        lanes = state.clips // self.unroll
        clips = [ClipIdentity(lane, state.position + k)
                 for k in range(self.unroll) for lane in range(lanes)]
        state.position += self.unroll
        scores = torch.cat([out for _, out in self.model.run_batch(
            self.model.bank(False), state.x, clips)])
        return F.cross_entropy(scores.float(), state.y)


class ConfigSubject:
    """A recognizer or detector of a config, from uint8 clips to the loss.

    A part of it, to tell what the rest costs, goes by an ending of the name:
    ``CONFIG@backbone`` is the backbone alone; ``CONFIG@plain``, of a model
    with collaborative memory, the recognizer without, for the same clips.
    'compile' is of the backbone, 'graph' asks for the ``cuda_graph`` of the
    recognizer; ``size`` of frames is as in training where nobody tells.
    """

    def __init__(self, name: Union[str, Config], how: str,
                 size: Optional[int]) -> None:
        init_default_scope('mmaction')
        self.part, self.how, cfg = '', how, name
        if isinstance(name, str):
            path, _, self.part = name.partition('@')
            cfg = Config.fromfile(path)
        if self.part not in ('', 'plain', 'backbone'):
            raise ValueError(f'{name!r} ends with none of @plain, @backbone')
        self.num_clips, self.frames, trained = clips_of(cfg)
        model = cfg.model
        self.channels = feature_channels(model)
        self.size = size or trained
        if self.channels:
            self.size, self.frames = 1, vectors_of(cfg) or self.frames
        self.detects = 'roi_head' in model
        self.collaborates = model.type.startswith('Collaborative')
        if self.part == 'plain':
            for key in ('neck', 'mode', 'init_cfg', 'memory_grad',
                        'video_loss_weight'):
                model.pop(key, None)
            model.type = 'Recognizer3D'
            # Its clips come as a batch, not as views of one video.
            model.get('test_cfg', {}).pop('max_testing_views', None)
        if how == 'graph':
            model.cuda_graph = True
        self.model = MODELS.build(without_counts(model))
        # Its segments are one clip.
        self.flat = isinstance(self.model, Recognizer2D)
        if how == 'compile':
            self.model.backbone.compile(dynamic=False)

    def giga_macs(self) -> float:
        state = self.make(1, torch.device('cpu'))
        x = self.inputs(state, False)['inputs']
        self.model.eval()
        return macs_of(lambda: scores_of(
            self.model, x)) / 1e9 / state.clips

    @property
    def clip(self) -> str:
        """str: what a clip is, for people."""
        return (f'{self.frames} vectors of features' if self.channels else
                f'{self.frames} frames of {self.size} x {self.size} pixels')

    def noise(self) -> Tensor:
        """A clip, as the data preprocessor gives it."""
        return next(self.model.parameters()).new_zeros(
            1, 1, self.channels or 3, self.frames, self.size, self.size)

    @cached_property
    def vectors(self) -> int:
        """int: what a clip gives to a memory of vectors, else 1."""
        return vectors_a_clip(
            self.model, lambda: scores_of(self.model.eval(), self.noise()))

    @cached_property
    def places(self) -> Optional[int]:
        """int: temporal places of a clip that are scored, None if it is."""
        model, training = self.model, self.model.training
        heads = [x for x in model.modules()
                 if isinstance(x, (AVTHead, FrameLevelHead))]
        if not heads:
            return None
        with torch.no_grad():
            scores = scores_of(model.eval(), self.noise())
        model.train(training)
        if isinstance(scores, dict):
            scores = next(iter(scores.values()))
        return scores.shape[1] if scores.ndim == 3 else None

    def inputs(self, state: SimpleNamespace, train: bool) -> dict:
        """The next batch, as the model takes it."""
        for sample in state.samples:
            sample.set_metainfo(dict(timestamp=state.position))
        state.position += 1
        return self.model.data_preprocessor(
            dict(inputs=list(state.inputs), data_samples=state.samples), train)

    def make(self, batch_size: int, device: torch.device) -> SimpleNamespace:
        clips = batch_size * self.num_clips
        videos, views = batch_size, self.num_clips
        if self.part == 'plain':
            videos, views = clips, 1
        shape = (self.channels or 3, self.frames, self.size, self.size)
        if not self.detects or self.collaborates:
            shape = (views, *shape)
        if self.flat:
            # A collaborative one has several clips of these.
            clips = batch_size * self.num_clips * self.frames // getattr(
                self.model, 'frames_per_clip', self.num_clips * self.frames)
            shape = (self.num_clips * self.frames, 3, *shape[-2:])
        inputs = [
            torch.randn(shape, device=device) if self.channels else
            torch.randint(256, shape, dtype=torch.uint8, device=device)
            for _ in range(videos)]
        # Lanes of different runs are different streams.
        samples = [self.sample(f'{self.how} {id(inputs)} {i}', device)
                   for i in range(videos)]
        memory = None
        if self.part == 'backbone' and getattr(self.model.backbone,
                                               'mem_len', 0):
            memory = self.model.backbone.init_memory(
                clips, (self.size, self.size))
        return SimpleNamespace(clips=clips, inputs=inputs, samples=samples,
                               position=0, past=memory)

    def sample(self, video: str, device: torch.device) -> object:
        """What is known of an input: identity, and label or boxes."""
        clips = [
            ActionDataSample(
                metainfo=dict(
                    video_id=video, timestamp=i, img_key=f'{video} {i}',
                    img_shape=(self.size, self.size)))
            for i in range(self.num_clips if self.detects else 1)]
        if not self.detects:
            return self.labelled(clips[0])
        for clip in clips:
            corner = torch.rand(NUM_BOXES, 2, device=device) * 0.5
            boxes = torch.cat((corner, corner + 0.4), 1) * self.size
            labels = torch.zeros(
                NUM_BOXES, self.model.roi_head.bbox_head.num_classes,
                device=device)
            labels[:, 1] = 1
            clip.proposals = InstanceData(bboxes=boxes)
            clip.gt_instances = InstanceData(bboxes=boxes, labels=labels)
        if not self.collaborates:
            return clips[0]
        every = torch.arange(self.num_clips, device=device)
        return WindowDataSample.of(
            clips, every, every.expand(self.num_clips, -1), video_id=video)

    def labelled(self, sample: ActionDataSample) -> ActionDataSample:
        """The sample with label 0, of every task there is."""
        head = self.model.cls_head
        if getattr(head, 'multi_class', False):
            return sample.set_gt_label(torch.zeros(head.num_classes))
        shape = [] if self.places is None else [self.places]
        if getattr(head, 'label_order', None):
            shape.append(len(head.label_order))
        elif getattr(head, 'label_column', None) is not None:
            shape.append(head.label_column + 1)
        return sample.set_gt_label(torch.zeros(shape or 1, dtype=torch.long))

    def forward(self, state: SimpleNamespace, train: bool) -> Tensor:
        data = self.inputs(state, train)
        if self.part == 'backbone':
            x = data['inputs']
            x = x.flatten(0, 1) if x.ndim == 6 else x
            if state.past is None:
                feats = self.model.backbone(x)
            else:
                feats, state.past = self.model.backbone(x, state.past)
                state.past = state.past.detach()
            while not torch.is_tensor(feats):
                feats = feats[-1]
            return feats.float().mean()
        out = self.model(**data, mode='loss' if train else 'predict')
        if train:
            return self.model.parse_losses(out)[0]
        if self.detects:
            return out[0].pred_instances.scores
        scores = out[0].pred_score
        # Of several tasks by name.
        return torch.cat([x.flatten() for x in scores.values()]) \
            if isinstance(scores, dict) else scores


Subject = Union[NamedSubject, ConfigSubject]


def build_subject(name: str, how: str, size: Optional[int]) -> Subject:
    """A model by name or config, on the CPU."""
    if '.py' in name:
        return ConfigSubject(name, how, size)
    return NamedSubject(name, how, size or 224)


def short_name(name: str) -> str:
    """A model's name in tables: of a config without folder and ending."""
    path, _, part = name.partition('@')
    return Path(path).stem + (f' @{part}' if part else '')
