# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a config samples of a video: clips, crops, seconds."""
from collections.abc import Iterator
from inspect import signature
from typing import List, NamedTuple, Optional, Tuple

from mmaction.registry import DATASETS, TRANSFORMS
from mmengine.config import Config

CROPS = dict(ThreeCrop=3, TenCrop=10)
# Samplers whose frames are spread over all of the video.
SPREAD = ('UniformSample', 'UniformSampleFrames')


def every_dict(node: object) -> Iterator[dict]:
    """The dicts within a config, outermost first."""
    if isinstance(node, dict):
        yield node
        node = node.values()
    if not isinstance(node, (str, bytes)) and hasattr(node, '__iter__'):
        for x in node:
            yield from every_dict(x)


def clips_of(cfg: Config) -> Tuple[int, int, int]:
    """Clips of a video, frames of a clip, their size: as in training.

    Of a config for tests alone: a clip as in testing. Where the pipeline
    makes no fixed size it is that of the backbone, or else 224.
    """
    trains = cfg.get('train_dataloader')
    data = list(every_dict(trains or cfg.get('test_dataloader') or {}))
    found = {}
    for key in ('num_clips', 'clip_len'):
        found[key] = next((x[key] for x in data if key in x), 1)
    if not trains:
        found['num_clips'] = 1
    size = None
    for x in data:
        if str(x.get('type', '')).endswith('Crop'):
            size = x.get('crop_size', x.get('size', size))
        elif str(x.get('type', '')).endswith('Resize') and not x.get(
                'keep_ratio', True):
            size = x['scale']
    size = size or next(
        (x[key] for x in every_dict(cfg.model.backbone)
         for key in ('spatial_size', 'img_size') if x.get(key)), 224)
    size = min(size) if isinstance(size, (tuple, list)) else size
    return found['num_clips'], found['clip_len'], size


def vectors_of(cfg: Config) -> Optional[int]:
    """Vectors of a clip, of a config over features; None without the data.

    A clip may have one of each frame, or as many as its file has.
    """
    loader = cfg.get('train_dataloader') or cfg.get('test_dataloader') or {}
    try:
        return DATASETS.build(loader['dataset'])[0]['inputs'].shape[-3]
    except (KeyError, FileNotFoundError):
        return None


def rate_of(data: List[dict], fps: float) -> float:
    """Frames per second that samplers and data sets count, else ``fps``."""
    found = [x['target_fps'] for x in data if x.get('target_fps')]
    for x in data:
        kind = x.get('type')
        cls = DATASETS.get(kind) or TRANSFORMS.get(kind) if isinstance(
            kind, str) else kind
        known = cls and signature(cls).parameters.get('sample_fps')
        if known:
            found.append(x.get('sample_fps', known.default))
    return next(iter(found), None) or fps


class Sampling(NamedTuple):
    """What a model sees, as its config says."""

    # Clips and crops of a sample in testing; as many segments of a 2D
    # recognizer as in training are one clip, and clips of a window of
    # keyframes are samples of their own.
    views: float
    seconds: Optional[float]  # of the video in a sample, if the config tells
    stride_seconds: Optional[float]  # from a clip of a stream to the next
    streams: bool  # whether samples are the clips of streams
    whole: bool  # whether a sample is all of a video


def sampling_of(cfg: Config, flat: bool, fps: float,
                seconds: Optional[float]) -> Sampling:
    """Reads it from the config.

    Args:
        cfg (Config): Config of a run.
        flat (bool): Whether the model is a 2D recognizer.
        fps (float): Frames per second of the videos, where neither sampler
            nor data set has a rate of its own.
        seconds (float, optional): Of the videos (or segments), which those
            that sample all of it show.
    """
    test = list(every_dict(cfg.get('test_dataloader') or {}))
    trains = cfg.get('train_dataloader')
    data = list(every_dict(trains)) if trains else test

    def first(key: str, among: list, default: object) -> object:
        return next((x[key] for x in among if x.get(key) is not None), default)

    types = [str(x.get('type', '')).split('.')[-1] for x in test]
    keyframes = any('AVA' in x for x in types)
    num_clips, clip_len, _ = clips_of(cfg)
    views = 1 if keyframes else first('num_clips', test, 1)
    if flat:
        views /= num_clips
    for name in types:
        views *= CROPS.get(name, 1)
    views *= 2 if first('twice_sample', test, False) else 1

    rate = rate_of(data, fps)
    interval = first('interval_seconds', data, None)
    span = clip_len * (interval or first('frame_interval', data, 1) / rate)
    # Also of a model that learns from clips by themselves.
    sampler = str(first('batch_sampler', test + data, {}).get('type', ''))
    streams = sampler.endswith('StreamBatchSampler')
    stride = None
    if keyframes:
        stride = first('clip_stride_seconds', data, 1)
        if num_clips > 1:
            span += (num_clips - 1) * stride
    elif flat or num_clips > 1 or any(x in SPREAD for x in types):
        return Sampling(views, seconds, None, False, True)
    elif streams:
        stride = span
        if first('clip_stride', data, None):
            stride = first('clip_stride', data, None) / rate
    return Sampling(views, span, stride, streams, not (keyframes or streams))
