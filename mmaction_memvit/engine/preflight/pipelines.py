# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What each data loader yields: data sets and their transforms."""
from collections.abc import Iterator
from functools import cache

import numpy as np
from mmaction.registry import DATASETS

from mmaction_memvit.datasets.stream import seeded

from .findings import Finding
from .part import Part
from .run import Loader, Run, gives_streams

#: Transforms that choose frames.
SAMPLING = ('SampleFrames', 'UniformSample', 'UniformSampleFrames',
            'UntrimmedSampleFrames', 'SampleKeyframeClip')
#: Which transform must have opened a video before another decodes it.
DECODERS = {
    'DecordDecode': 'DecordInit',
    'PyAVDecode': 'PyAVInit',
    'OpenCVDecode': 'OpenCVInit',
    'PIMSDecode': 'PIMSInit'
}
LOADING = (*DECODERS, 'LoadVideoClip', 'LoadFeatureClip', 'RawFrameDecode',
           'ImageDecode', 'ArrayDecode', 'LoadRGBFromFile')
_PLACE = ('video_id', 'timestamp')


@cache
def _stock_options() -> frozenset[str]:
    stock = [Part(dict(type=x)) for x in DATASETS.module_dict.values()]
    return frozenset(option for x in stock if not x.is_ours
                     and not x.is_stranger for option in x.options())


def options_are_known(run: Run) -> Iterator[Finding]:
    """Options that are left of the data set which a base config has."""
    for loader, dataset in run.data_sets():
        if not (dataset.is_config and dataset.is_ours):
            continue
        unknown = [x for x in dataset.value if x in _stock_options()
                   and x not in dataset.options()]
        if unknown:
            yield Finding(
                f'{loader.path}.dataset', f'{dataset} has no option '
                f'{", ".join(unknown)}', f'{loader.path}.dataset='
                f"dict(_delete_=True, type='{dataset}', ...), which takes "
                'nothing over from the base, or without them')
    for loader in run.loaders:
        collate = loader.part.get('collate_fn')
        if (loader.dataset.is_ours and isinstance(collate, dict)
                and collate.get('type') == 'repeat_pseudo_collate'):
            yield Finding(
                f'{loader.path}.collate_fn', 'repeat_pseudo_collate takes '
                f'several samples at a time, but {loader.dataset} gives one',
                f"{loader.path}.collate_fn=dict(type='pseudo_collate')")


def data_sets_give_streams(run: Run) -> Iterator[Finding]:
    """Samples that do not tell video and position."""
    if not run.with_memory:
        return
    right = ('OnlineAVADataset' if run.model.is_a('FastRCNN') else
             'OnlineVideoDataset')
    for loader, dataset in run.data_sets():
        if not (gives_streams(dataset) or dataset.is_stranger
                or dataset.is_a('CollaborativeAVADataset')):
            yield Finding(
                f'{loader.path}.dataset.type', f'{dataset} does not tell of '
                'its samples which video and position they are, by which '
                f'the memory of {run.model} finds its stream',
                f"{loader.path}.dataset.type='{right}', with "
                f"{loader.path}.batch_sampler="
                "dict(type='StreamBatchSampler')")
    for loader in run.loaders:
        for wrapper in loader.wrappers:
            if wrapper.is_a('RepeatDataset', 'ClassBalancedDataset'):
                yield Finding(
                    wrapper.path, f'{wrapper} shows clips of a stream more '
                    'than once', f'{loader.path}.dataset=dict(type='
                    f"'{right}', ...) without {wrapper}; more epochs "
                    'instead')


def shows_features(dataset: Part) -> bool:
    """Whether samples are features in place of frames."""
    return 'feature' in (dataset.get('data_prefix') or ())


def chooses_frames(dataset: Part) -> bool:
    """Whether samples come with the frames of their clip."""
    return (gives_streams(dataset) and dataset.is_ours
            and dataset.get('clip_len') is not None)


def frames_are_the_clips_own(run: Run) -> Iterator[Finding]:
    """Sampling transforms where the data set has chosen the frames."""
    for loader, dataset in run.data_sets():
        steps = loader.steps(dataset)
        samplers = [x for x in steps if x.is_a(*SAMPLING)]
        if chooses_frames(dataset):
            for step in samplers:
                yield Finding(
                    step.path, f'{step} chooses frames anew, and the frames '
                    f'that {dataset} chose for a position are lost: clips do '
                    'not show the place in the video that they are '
                    f'remembered by', f"remove dict(type='{step}') from "
                    f'{loader.path}.dataset.pipeline; with '
                    "dict(type='LoadVideoClip') DecordInit and DecordDecode "
                    'are not needed either')
        elif dataset.is_a('OnlineAVADataset'):
            yield from _keyframe_clips(loader, dataset, samplers, steps)


def _keyframe_clips(loader: Loader, dataset: Part, samplers: list[Part],
                    steps: list[Part]) -> Iterator[Finding]:
    right = "dict(type='SampleKeyframeClip', clip_len=16, frame_interval=4)"
    wrong = [x for x in samplers if not x.is_a('SampleKeyframeClip')]
    if wrong:
        yield Finding(
            wrong[0].path, f'{wrong[0]} does not know the keyframe of '
            f'{dataset}: clips would show another place in the video',
            f'{right} in place of {wrong[0]} in '
            f'{loader.path}.dataset.pipeline')
    elif not samplers and not any(x.is_stranger for x in steps):
        yield Finding(
            f'{loader.path}.dataset.pipeline', f'no transform chooses the '
            f'frames around the keyframes of {dataset}',
            f'{right} as the first of {loader.path}.dataset.pipeline')


def frames_are_loaded(run: Run) -> Iterator[Finding]:
    """Pipelines that lack a step, which validation would find out late."""
    if not run.is_ours:
        return
    for loader, dataset in run.data_sets():
        steps = loader.steps(dataset)
        if not dataset.is_ours or any(x.is_stranger for x in steps):
            continue
        pipeline = f'{loader.path}.dataset.pipeline'
        loading = [x for x in steps if x.is_a(*LOADING)]
        right = ('LoadFeatureClip' if shows_features(dataset) else
                 'LoadVideoClip')
        if not loading:
            yield Finding(pipeline, 'no transform loads the frames',
                          f"dict(type='{right}') in {pipeline}")
        elif (right == 'LoadFeatureClip') != loading[0].is_a(
                'LoadFeatureClip'):
            yield Finding(
                loading[0].path, f'{loading[0]} does not read what '
                f'data_prefix={dict(dataset.get("data_prefix") or {})} of '
                f'{dataset} names', f"dict(type='{right}') in {pipeline}; "
                "features with dict(type='FeatureBackbone') as the model's "
                'backbone')
        names = [x.name for x in steps]
        for i, name in enumerate(names):
            opener = DECODERS.get(name)
            if opener and opener not in names[:i]:
                yield Finding(
                    steps[i].path, f'{name} needs {opener} before it',
                    f"dict(type='LoadVideoClip') in place of {name} in "
                    f'{pipeline}')
        if not names or 'Pack' not in names[-1]:
            last = names[-1] if names else 'nothing'
            yield Finding(
                pipeline, f'the last transform is {last}, which packs no '
                'sample', "dict(type='PackActionInputs', meta_keys="
                f"('video_id', 'timestamp')) as the last of {pipeline}")


def needed_keys(run: Run, loader: Loader) -> dict[str, str]:
    """Metainfo that samples must have, and who needs it."""
    keys: dict[str, str] = {}
    if run.with_memory:
        keys.update(dict.fromkeys(_PLACE, f'the memory of {run.model}'))
    for metric in run.metrics.get(loader.mode, ()):
        wanted: tuple = ()
        if metric.is_a('VideoAccMetric'):
            wanted = _PLACE
            if any(x.get('ann_format') == 'segments' for x in loader.datasets):
                wanted += ('segment_id', )
        elif metric.is_a('EpicRecognitionMetric'):
            if metric.get('online'):
                wanted = *_PLACE, 'token_times'
        elif metric.is_a('AVADetectionMetric', 'AVAMetric'):
            wanted = ('img_key', )
        elif metric.is_a('MultiLabelMAPMetric'):
            wanted = ('video_id', )
        for key in wanted:
            keys.setdefault(key, metric.name)
    return keys


def samples_tell_who_they_are(run: Run) -> Iterator[Finding]:
    """Metainfo that memory or metric need and samples lose."""
    if not run.is_ours:
        return
    for loader, dataset in run.data_sets():
        packs = [x for x in loader.steps(dataset)
                 if x.is_a('PackActionInputs')]
        if not packs or not dataset.is_ours:
            continue
        kept = packs[-1].get('meta_keys') or ()
        needed = needed_keys(run, loader)
        lost = [x for x in needed if x not in kept]
        if lost:
            keys = tuple(dict.fromkeys([*kept, *lost]))
            yield Finding(
                f'{packs[-1].path}.meta_keys', 'samples lose '
                f'{", ".join(map(repr, lost))}, which {needed[lost[0]]} '
                f'needs; kept are {tuple(kept)}',
                f"dict(type='PackActionInputs', meta_keys={keys}) in "
                f'{loader.path}.dataset.pipeline')


CHECKS = (options_are_known, data_sets_give_streams, frames_are_the_clips_own,
          frames_are_loaded, samples_tell_who_they_are)


def own_transforms_keep_frames(run: Run) -> Iterator[Finding]:
    """Transforms of the user's own that choose frames anew."""
    for loader, dataset in run.data_sets():
        if chooses_frames(dataset) and any(
                x.is_stranger for x in loader.steps(dataset)):
            changing = _changes_frames(dataset)
            if changing:
                yield Finding(
                    f'{loader.path}.dataset.pipeline', f'{changing} changes '
                    f'the frames (frame_inds) that {dataset} chose for a '
                    f'position', f'remove {changing} from '
                    f'{loader.path}.dataset.pipeline')


def _changes_frames(dataset: Part) -> str:
    """The transform that does, on the first sample, up to its pictures."""
    data = dataset.value
    # What it draws is not missed in the run.
    with seeded(0):
        try:
            results = data.get_data_info(0)
            before = np.array(results['frame_inds'])
            for step in data.pipeline.transforms:
                results = step(results)
                if not np.array_equal(results['frame_inds'], before):
                    return getattr(step, '__name__', type(step).__name__)
                if 'imgs' in results:
                    break
        except Exception:  # noqa: BLE001
            # The run itself tells what cannot be read.
            return ''
    return ''


DATA_CHECKS = (own_transforms_keep_frames, )
