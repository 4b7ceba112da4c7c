# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a model does with streams: whether it remembers, and what."""
import os.path as osp
from collections.abc import Iterator
from difflib import get_close_matches

from mmaction.registry import DATASETS, METRICS, MODELS, TRANSFORMS

from mmaction_memvit.video.feature_files import FeatureStack

from .findings import Finding
from .pipelines import shows_features
from .run import Run
from .sizes import frame_size

HOOK = "custom_hooks = [dict(type='MemoryBankHook')]"
#: Transforms that make several views of a clip.
CROPS = ('ThreeCrop', 'TenCrop')
#: Backbones, and those derived from them, that pay init_cfg no heed.
_DEAF = ('C3D', 'ResNet3d', 'ResNet3dSlowFast', 'RGBPoseConv3D', 'TimeSformer',
         'X3D')


def types_are_known(run: Run) -> Iterator[Finding]:
    """Names that are misspelt: MMEngine tells them late, and no better one."""
    parts = [run.model, *run.model_parts(), *sum(run.metrics.values(), [])]
    for loader, dataset in run.data_sets():
        parts += dataset, *loader.steps(dataset)
    names = [x for registry in (MODELS, DATASETS, TRANSFORMS, METRICS)
             for x in registry.module_dict]
    for part in parts:
        kind = part.value.get('type') if part.cls is None else None
        # Other libraries may not be there.
        near = kind and '.' not in kind and get_close_matches(
            kind, names, 1, 0.85)
        if near:
            yield Finding(f'{part.path}.type', f'there is no {kind!r}',
                          f'{part.path}.type={near[0]!r}')


def memory_is_carried(run: Run) -> Iterator[Finding]:
    """Parts that remember, in a model that drops what they remember."""
    if run.carries_memory or run.model.is_stranger:
        return
    for part in run.remembering():
        kind = ('OnlineFastRCNN' if run.model.is_a('FastRCNN') else
                'OnlineRecognizer3D')
        mem_len = part.get('mem_len')
        yield Finding(
            'model.type',
            f'{part} remembers (mem_len={mem_len}), but {run.model} hands no '
            'memory from clip to clip: every clip is scored alone',
            f"model.type='{kind}', with clips in order "
            "(batch_sampler=dict(type='StreamBatchSampler')); or without "
            f'memory {part.path}.mem_len=0')


def hook_is_there(run: Run) -> Iterator[Finding]:
    """Streams that nobody looks after."""
    if run.with_memory and not any(
            x.is_a('MemoryBankHook') for x in run.hooks):
        yield Finding(
            'custom_hooks', 'no MemoryBankHook: the memory is not cleared '
            'between epochs, validation and testing share one, and nobody '
            'looks whether clips continue a stream', HOOK)


def no_blending(run: Run) -> Iterator[Finding]:
    """Clips of different streams that are mixed."""
    blending = run.preprocessor and run.preprocessor.child('blending', MODELS)
    if (run.with_memory and blending is not None
            and run.loader('train') is not None):
        yield Finding(
            'model.data_preprocessor.blending',
            f'{blending} mixes clips of different streams, and the memory '
            'would keep the mixture', 'model.data_preprocessor.blending=None')


def frames_are_normalised(run: Run) -> Iterator[Finding]:
    """Pixels from 0 to 255 as they are."""
    prep = run.preprocessor
    if not (run.carries_memory or run.shares_memory) or (
            prep is not None and not prep.is_a('ActionDataPreprocessor')):
        return
    if run.backbone is not None and run.backbone.is_a('FeatureBackbone'):
        return
    if prep is None or prep.get('mean') is None:
        yield Finding(
            'model.data_preprocessor', 'mean=None, std=None: the model gets '
            'pixels from 0 to 255 as they are',
            'model.data_preprocessor.mean=[114.75] * 3, std=[57.375] * 3, or '
            'what the weights were trained with', False)
    elif prep.get('to_rgb'):
        yield Finding(
            'model.data_preprocessor.to_rgb', 'to_rgb=True swaps red and '
            'blue of frames that are RGB already, as all decoders give them',
            'model.data_preprocessor.to_rgb=False', False)


def shapes_fit(run: Run) -> Iterator[Finding]:
    """Clips in another layout than the model normalises."""
    prep = run.preprocessor
    if not (run.carries_memory or run.shares_memory) or prep is None:
        return
    wanted = prep.get('format_shape')
    for loader in run.loaders:
        step = loader.find('FormatShape')
        given = step and step.get('input_format')
        if {given, wanted} == {'NCHW', 'NCTHW'}:
            yield Finding(
                f'{step.path}.input_format', f'FormatShape makes {given!r}, '
                f'but model.data_preprocessor.format_shape={wanted!r}',
                'model.data_preprocessor.format_shape='
                f'{given!r}')


def streams_are_kept(run: Run) -> Iterator[Finding]:
    """Fewer streams remembered than are watched at a time."""
    if not run.with_memory:
        return
    most = run.model.get('max_streams')
    if not run.model.is_config:
        most = run.model.value.banks['train'].max_streams
    for loader in run.loaders:
        views = {'ThreeCrop': 3, 'TenCrop': 10}
        crop = loader.find(*CROPS)
        lanes = loader.batch_size * views.get(crop and crop.name, 1)
        if most is not None and most < lanes:
            yield Finding(
                'model.max_streams', f'max_streams={most}, but {loader.path} '
                f'shows {lanes} streams at a time: most are forgotten before '
                'they go on', 'model.max_streams=None, or at least '
                f'{lanes}')
            return


def one_view_in_training(run: Run) -> Iterator[Finding]:
    """Several views of a clip where one is trained on."""
    loader = run.loader('train')
    crop = loader and loader.find(*CROPS)
    if run.carries_memory and crop:
        yield Finding(
            crop.path, f'{crop} makes several views of a clip, but training '
            'takes one', f'RandomCrop or CenterCrop in place of {crop} in '
            'train_dataloader.dataset.pipeline')


def any_size_is_not_padded(run: Run) -> Iterator[Finding]:
    """Frames of different sizes that are padded to the largest."""
    prep = run.preprocessor
    if not (run.carries_memory or run.shares_memory) or (
            prep is not None and prep.is_a('AnySizeDataPreprocessor')):
        return
    for loader in run.evaluations:
        steps = loader.steps()
        scaled = any(x.is_a('Resize') or x.is_a('LoadVideoClip')
                     and x.get('short_side') for x in steps)
        if (loader.batch_size > 1 and scaled and frame_size(loader) is None
                and not any(x.is_stranger for x in steps)):
            yield Finding(
                f'{loader.path}.dataset.pipeline', 'frames keep the shape of '
                f'their video, and batches of {loader.batch_size} are padded '
                'to the largest: scores depend on neighbours, if videos '
                'differ in shape', f'a CenterCrop in {loader.path}, '
                f'{loader.path}.batch_size=1, or for detection '
                "model.data_preprocessor.type='AnySizeDataPreprocessor'",
                False)


def clips_share_memory(run: Run) -> Iterator[Finding]:
    """Collaborative memories of one clip, or of the wrong data set."""
    if not run.shares_memory or run.model.child('neck', MODELS) is None:
        return
    for loader in run.loaders:
        if loader.is_stream and loader.dataset.is_ours:
            right = ('CollaborativeAVADataset' if run.model.is_a('FastRCNN')
                     else 'VideoClipsDataset')
            yield Finding(
                f'{loader.path}.dataset.type', f'{loader.dataset} gives one '
                f'clip at a time, but {run.model} shares a memory between '
                'the clips of a video',
                f"{loader.path}.dataset.type='{right}'")
            continue
        sampling = loader.find('SampleFrames', 'UniformSample')
        num = sampling and sampling.get('num_clips')
        per_clip = run.model.get('frames_per_clip') or 1
        if loader.mode == 'train' and num is not None and num <= per_clip:
            yield Finding(
                f'{sampling.path}.num_clips', f'num_clips={num}: the memory '
                'of a video holds one clip and no other',
                f'num_clips={8 * per_clip} for N = 8 in {sampling}', False)
        crop, pack = loader.find(*CROPS), loader.find('PackActionInputs')
        test_cfg = run.model.get('test_cfg') or {}
        if (crop and loader.mode != 'train' and pack
                and 'num_clips' not in (pack.get('meta_keys') or ())
                and not test_cfg.get('num_crops')):
            yield Finding(
                f'{pack.path}.meta_keys', f'{crop} makes several crops of '
                "each clip, and samples do not tell 'num_clips': all crops "
                'write the memory, as if each was a clip',
                f"'num_clips' in PackActionInputs' meta_keys of "
                f'{loader.path}, or model.test_cfg=dict(num_crops=3)', False)


def windows_are_not_streams(run: Run) -> Iterator[Finding]:
    """Windows of clips for a model that takes them one by one."""
    if not run.carries_memory:
        return
    for loader in run.loaders:
        if loader.dataset.is_a('CollaborativeAVADataset'):
            yield Finding(
                f'{loader.path}.dataset.type', f'{loader.dataset} gives '
                f'windows of clips, but {run.model} takes them one by one',
                f"{loader.path}.dataset.type='OnlineAVADataset'")


def features_are_taken(run: Run) -> Iterator[Finding]:
    """Features for a backbone of frames, or frames for none."""
    backbone = run.backbone
    for loader, dataset in run.data_sets():
        if backbone is None or not dataset.is_ours or backbone.is_stranger:
            continue
        if shows_features(dataset) != backbone.is_a('FeatureBackbone'):
            what, right = ('frames', 'the one that the config had for videos')
            if shows_features(dataset):
                what, right = 'features', "dict(type='FeatureBackbone')"
            yield Finding(
                f'{backbone.path}.type', f'{dataset} gives {what}, which '
                f'{backbone} does not take', f'{backbone.path}={right}, or '
                f'another data_prefix of {loader.path}.dataset')


CHECKS = (types_are_known, memory_is_carried, hook_is_there, no_blending,
          frames_are_normalised, shapes_fit, streams_are_kept,
          one_view_in_training, any_size_is_not_padded, clips_share_memory,
          windows_are_not_streams, features_are_taken)


def weights_are_there(run: Run) -> Iterator[Finding]:
    """Files that training starts from."""
    if run.loader('train') is None:
        return
    for part in filter(None, (run.model, run.backbone)):
        starts = part.get('init_cfg') or []
        for start in [starts] if isinstance(starts, dict) else starts:
            path = start.get('checkpoint') or ''
            if path and part.is_a(*_DEAF):
                model = run.model.has('init_cfg')
                yield Finding(
                    f'{part.path}.init_cfg', f'{part} of MMAction2 does not '
                    'read init_cfg: it would start from random weights',
                    f"{'model.init_cfg' if model else 'load_from'}="
                    + (f"dict(type='Pretrained', checkpoint={path!r})"
                       if model else repr(path)))
            if '://' not in path and path and not osp.isfile(path):
                yield Finding(
                    f'{part.path}.init_cfg.checkpoint',
                    f'{path}: no such file',
                    'the path of the weights, their URL, or '
                    f'{part.path}.init_cfg=None')


def features_fit_model(run: Run) -> Iterator[Finding]:
    """Features of other channels than the first layer has."""
    first = next(
        filter(None, (run.model.child(x, MODELS)
                      for x in ('neck', 'cls_head'))), None)
    wanted = first and first.get('in_channels')
    for loader, dataset in run.data_sets():
        if not shows_features(dataset) or not isinstance(wanted, int):
            continue
        info = dataset.value.get_data_info(0)
        features = FeatureStack(info['feature_files'])
        channels = features.channels
        features.close()
        if channels != wanted:
            yield Finding(
                first.path, f'in_channels={wanted}, but features of '
                f'{loader.path}.dataset have {channels} channels',
                f'{first.path}.in_channels={channels}, or features of '
                'another backbone')


DATA_CHECKS = (weights_are_there, features_fit_model)
