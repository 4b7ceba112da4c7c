# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""A tiny detector with memory, and made-up clips with boxes for it."""
import copy
from pathlib import Path
from typing import List

import mmengine
import numpy as np
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from .models import MEMVIT
from .runs import config
from .videos import write_video

NUM_CLASSES = 6
# Name, suffix, frames per second, seconds, height, width.
VIDEOS = (('a (slow) !', '.mp4', 10, 5, 64, 96),
          ('b', '.mkv', 30, 4, 64, 80),
          ('c_fast', '.mp4', 60, 3, 64, 96),
          ('d!', '.avi', 25, 2, 80, 64))
META_KEYS = ('img_shape', 'img_key', 'video_id', 'timestamp', 'orig_proposals')
PACK = [dict(type='FormatShape', input_format='NCTHW', collapse=True),
        dict(type='PackActionInputs', meta_keys=META_KEYS)]
CLIP = dict(
    type='SampleKeyframeClip', clip_len=4, frame_interval=4, sample_fps=30)
TRAIN_PIPELINE = [dict(**CLIP, perturb=True), dict(type='LoadVideoClip'),
                  dict(type='PerVideoAugment',
                       transforms=[dict(type='RandomRescale',
                                        scale_range=(36, 44)),
                                   dict(type='RandomCrop', size=32),
                                   dict(type='Flip', flip_ratio=0.5)]),
                  dict(type='DropLostBoxes'), *PACK]
# Frames of different shapes stand in one batch.
TEST_PIPELINE = [CLIP, dict(type='LoadVideoClip'),
                 dict(type='Resize', scale=(-1, 32)), *PACK]
PATHWAY = dict(type='resnet3d', depth=18, pretrained=None,
               conv1_kernel=(1, 3, 3), conv1_stride_t=1, pool1_stride_t=1,
               spatial_strides=(1, 2, 2, 1))
# Pathways of 64 and 16 channels, stride 16.
SLOWFAST = dict(type='mmaction.ResNet3dSlowFast', resample_rate=2,
                speed_ratio=2, channel_ratio=4, pretrained=None,
                slow_pathway=dict(PATHWAY, lateral=True, base_channels=8,
                                  inflate=(0, 0, 1, 1)),
                fast_pathway=dict(PATHWAY, lateral=False, base_channels=2))
DETECTOR = dict(
    type='OnlineFastRCNN', _scope_='mmdet',
    backbone=dict(MEMVIT, type='mmaction.MeMViT'),
    roi_head=dict(type='MeMViTRoIHead', mem_len=2, num_slots=8,
                  box_block=dict(dims=32, num_heads=2, attn_drop=0.,
                                 qkv_drop=0., drop=0.),
                  bbox_roi_extractor=dict(type='SingleRoIExtractor3D',
                                          featmap_stride=8, output_size=7,
                                          with_temporal_pool=True),
                  bbox_head=dict(type='MeMViTBBoxHead', in_channels=32,
                                 num_classes=NUM_CLASSES, dropout_ratio=0.)),
    data_preprocessor=dict(type='mmaction.AnySizeDataPreprocessor',
                           mean=[127.] * 3, std=[64.] * 3,
                           format_shape='NCTHW'),
    train_cfg=dict(
        rcnn=dict(assigner=dict(type='MaxIoUAssignerAVA', pos_iou_thr=0.9,
                                neg_iou_thr=0.9, min_pos_iou=0.9),
                  sampler=dict(type='RandomSampler', num=1000, pos_fraction=1,
                               neg_pos_ub=-1, add_gt_as_proposals=True))),
    test_cfg=dict(rcnn=None))

# A head to take the place of the detector's.
STREAM_ROI_HEAD = dict(
    DETECTOR['roi_head'], type='StreamTransformerRoIHead', num_slots=4,
    transformer=dict(in_channels=32, embed_dims=16, num_heads=2, dropout=0.,
                     mem_len=2),
    bbox_head=dict(DETECTOR['roi_head']['bbox_head'], in_channels=16))
for key in ('mem_len', 'box_block'):
    del STREAM_ROI_HEAD[key]


def build_detector(strength: float = 0.2, **kwargs):
    """The detector; ``kwargs`` update its dicts, or replace values.

    Dicts of another type replace them.
    """
    cfg = ConfigDict(copy.deepcopy(DETECTOR))
    for key, value in kwargs.items():
        if isinstance(value, dict) and value.get('type') in (
                None, cfg[key].type):
            cfg[key].update(value)
        else:
            cfg[key] = copy.deepcopy(value)
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    # Strong weights: what is remembered must show in the scores.
    for param in model.parameters():
        param.data += strength * torch.randn_like(param)
    return model


def generator(video: str, position: int) -> torch.Generator:
    return torch.Generator().manual_seed(1000 * ord(video[0]) + position)


def make_boxes(num: int, gen: torch.Generator, size=(32, 32)) -> torch.Tensor:
    """Boxes in pixels, (num, 4)."""
    corner = torch.rand(num, 2, generator=gen) * 0.5
    extent = 0.2 + torch.rand(num, 2, generator=gen) * 0.3
    height, width = size
    boxes = torch.cat((corner, corner + extent), 1)
    return boxes * torch.tensor([width, height, width, height])


def make_clip(video: str, position: int, num_boxes: int = 2, num_gt: int = 0,
              size=(32, 32)):
    """A clip (3, T, H, W) and its sample, the same each time."""
    gen = generator(video, position)
    clip = torch.randn(3, 4, *size, generator=gen)
    boxes = make_boxes(num_boxes, gen, size)
    labels = torch.zeros(num_gt, NUM_CLASSES)
    for i in range(num_gt):
        labels[i, 1 + i % (NUM_CLASSES - 1)] = 1
    sample = ActionDataSample(
        metainfo=dict(video_id=video, timestamp=position,
                      img_key=f'{video},{position:04d}', img_shape=size),
        proposals=InstanceData(bboxes=boxes),
        gt_instances=InstanceData(bboxes=make_boxes(num_gt, gen, size),
                                  labels=labels))
    return clip, sample


def run_batch(model, *clips, mode: str = 'predict'):
    """One step; clips are arguments of :func:`make_clip` as dicts."""
    inputs, samples = zip(*(make_clip(**c) for c in clips))
    if len({x.shape for x in inputs}) == 1:
        inputs = torch.stack(inputs)
    return model(inputs, list(samples), mode=mode)


def write_videos_with_boxes(folder: Path) -> Path:
    """Writes videos of 10 to 60 frames a second with a walk of boxes in each.

    Beside them stand boxes.csv, labels.pbtxt and proposals.pkl.
    """
    rng = np.random.default_rng(0)
    rows, proposals = [], {}
    for i, (name, suffix, fps, seconds, height, width) in enumerate(VIDEOS):
        write_video(folder / f'{name}{suffix}', fps * seconds + fps // 2,
                    first=1000 * i, rate=fps, height=height, width=width,
                    codec='mpeg4' if suffix == '.avi' else 'libx264')
        for second in range(1, seconds + 1):
            corner = rng.uniform(0, 0.5, (3, 2))
            boxes = np.concatenate((corner, corner + 0.4), 1).round(4)
            # In some seconds nobody is labelled, or seen.
            if second != 2:
                for person, box in enumerate(boxes[:2]):
                    for label in {1 + person, 1 + (i + second) % 5}:
                        rows.append(','.join(
                            map(str, (name, second, *box, label, person))))
            if second != 3:
                proposals[f'{name},{second:04d}'] = np.concatenate(
                    (boxes, np.ones((3, 1))), 1).astype(np.float32)
    (folder / 'boxes.csv').write_text('\n'.join(rows) + '\n')
    (folder / 'labels.pbtxt').write_text(''.join(
        f'item {{\n  name: "action {i}"\n  id: {i}\n}}\n'
        for i in range(1, NUM_CLASSES)))
    mmengine.dump(proposals, folder / 'proposals.pkl')
    return folder


def box_dataset(data: Path, train: bool, **kwargs) -> dict:
    """Config of a data set of these videos."""
    return dict(ann_file=str(data / 'boxes.csv'),
                label_file=str(data / 'labels.pbtxt'),
                proposal_file=str(data / 'proposals.pkl'),
                data_prefix=dict(video=str(data)), num_classes=NUM_CLASSES,
                keyframes='all', keyframe_range=(1, 5),
                pipeline=TRAIN_PIPELINE if train else TEST_PIPELINE,
                test_mode=not train, **kwargs)


def write_detector(folder: Path, data: Path) -> List[str]:
    """Writes config.py and weights.pth; their paths."""
    cfg = config(folder, test=dict(
        dataset=box_dataset(data, False, type='OnlineAVADataset')))
    cfg.model = DETECTOR
    paths = [str(folder / 'config.py'), str(folder / 'weights.pth')]
    cfg.dump(paths[0])
    torch.save(build_detector().state_dict(), paths[1])
    return paths


def set_metric(cfg: ConfigDict, data: Path) -> None:
    """Has a config of a run scored by mAP."""
    for key in ('val_evaluator', 'test_evaluator'):
        if key in cfg:
            cfg[key] = dict(
                type='AVADetectionMetric', ann_file=str(data / 'boxes.csv'),
                label_file=str(data / 'labels.pbtxt'), num_classes=NUM_CLASSES)


def assert_same_scores(metrics: dict, scores: dict) -> None:
    """Equal ones, by run; for a reason: they tell boxes apart."""
    keys = sorted((name, t) for name, _, _, seconds, *_ in VIDEOS
                  for t in range(1, seconds + 1))
    first = next(iter(metrics))
    for name, found in scores.items():
        assert metrics[name] == metrics[first]
        assert sorted(found) == keys
        for key in keys:
            # Nobody is seen in second 3.
            assert len(found[key]) == (0 if key[1] == 3 else 3)
            torch.testing.assert_close(
                found[key], scores[first][key], atol=1e-5, rtol=0)
    assert 0 < metrics[first]['mAP/overall'] < 1
    assert len({tuple(row) for x in scores[first].values()
                for row in x.tolist()}) == 3 * sum(t != 3 for _, t in keys)
