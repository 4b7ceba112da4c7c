# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What each data loader yields, and in which order."""
from collections.abc import Iterator
from typing import Any

from mmengine.dist import get_world_size

from mmaction_memvit.datasets.transforms.consistent import seeded
from mmaction_memvit.memory import clip_identities

from .findings import Finding
from .part import Part
from .run import Loader, Run, gives_streams

STREAM = 'StreamBatchSampler'
#: Transforms that choose frames.
SAMPLING = ('SampleFrames', 'UniformSample', 'UniformSampleFrames',
            'UntrimmedSampleFrames', 'SampleKeyframeClip')


def shows_features(dataset: Part) -> bool:
    """Whether samples are features in place of frames."""
    return 'feature' in (dataset.get('data_prefix') or ())


def streams_are_in_order(run: Run) -> Iterator[Finding]:
    """Clips of a video out of order, or side by side in a batch."""
    if not run.with_memory:
        return
    for loader in run.loaders:
        batches = loader.batch_sampler
        order = batches or loader.sampler
        if not loader.is_stream or order and (
                order.is_a(STREAM) or order.is_stranger):
            continue
        if (loader.mode != 'train' and batches is None
                and loader.batch_size * get_world_size() == 1
                and not loader.shuffles()):
            continue
        yield Finding(
            f'{loader.path}.batch_sampler',
            f'batches of {loader.batch_size} come from '
            f'{order or "no sampler"}'
            f'{" with shuffle=True" if loader.shuffles() else ""}, which '
            'does not let the clips of a video follow each other: the memory '
            'is torn', f'{loader.path}.batch_sampler='
            f"dict(type='{STREAM}')")


def frames_are_the_clips_own(run: Run) -> Iterator[Finding]:
    """Sampling transforms where the data set has chosen the frames."""
    for loader, dataset in run.data_sets():
        samplers = [x for x in loader.steps(dataset) if x.is_a(*SAMPLING)]
        if (gives_streams(dataset) and dataset.is_ours
                and dataset.get('clip_len') is not None):
            change = ("remove dict(type='{}') from {}; with dict(type="
                      "'LoadVideoClip') DecordInit and DecordDecode are not "
                      'needed either')
        elif dataset.is_a('OnlineAVADataset'):
            samplers = [
                x for x in samplers if not x.is_a('SampleKeyframeClip')]
            change = ("dict(type='SampleKeyframeClip', clip_len=16, "
                      'frame_interval=4) in place of {} in {}')
        else:
            continue
        for step in samplers:
            yield Finding(
                step.path, f'{step} chooses frames anew, not those of the '
                f'position that {dataset} says: clips do not show the place '
                'in the video that they are remembered by',
                change.format(step, f'{loader.path}.dataset.pipeline'))


def data_sets_fit_mode(run: Run) -> Iterator[Finding]:
    """Training data in test mode, and the other way round."""
    for loader, dataset in run.data_sets():
        test_mode = dataset.get('test_mode') if dataset.is_ours else None
        if test_mode is None or bool(test_mode) == (loader.mode != 'train'):
            continue
        path = f'{loader.path}.dataset.test_mode'
        yield Finding(
            path, f'test_mode={test_mode} in {loader.path}: '
            + ('a video that cannot be read ends the run, and nothing '
               'changes from epoch to epoch' if test_mode else
               'a video that cannot be read is replaced by another, and '
               'counted as if it was that one'),
            f'{path}={not test_mode}', False)


def clip_option(loader: Loader, option: str) -> Any:
    """``clip_len`` and the like of what chooses the frames."""
    own = loader.dataset.get(option)
    if own is not None:
        return own
    step = loader.find(*SAMPLING)
    return None if step is None else step.get(option)


def evaluation_is_as_training(run: Run) -> Iterator[Finding]:
    """Clips in evaluation that are not those of training."""
    train = run.loader('train')
    # Features may come in steps of any length.
    if train is None or not run.is_ours or shows_features(train.dataset):
        return
    for loader in run.evaluations:
        for option in ('clip_len', 'frame_interval', 'clip_stride',
                       'sample_fps'):
            own, other = (clip_option(x, option) for x in (loader, train))
            if None not in (own, other) and own != other:
                yield Finding(
                    f'{loader.path}.dataset.{option}', f'{option}={own}, but '
                    f'training has {option}={other}',
                    f'{option}={other} in {loader.path}.dataset', False)


CHECKS = (streams_are_in_order, frames_are_the_clips_own, data_sets_fit_mode,
          evaluation_is_as_training)


def evaluation_begins(run: Run) -> Iterator[Finding]:
    """Samples that fail, which an evaluation would find out late."""
    for loader, dataset in run.data_sets():
        if loader.mode == 'train':
            continue
        # What it draws is not missed in the run.
        with seeded(0):
            try:
                sample = dataset.value[0]
                if run.with_memory:
                    clip_identities([sample['data_samples']])
            except Exception as error:  # noqa: BLE001
                yield Finding(
                    f'{loader.path}.dataset.pipeline', 'the first sample '
                    f'fails: {type(error).__name__}: {error}', 'the transform '
                    'that this is about, see also `python -m mmaction_memvit '
                    'check_config`')


DATA_CHECKS = (evaluation_begins, )
