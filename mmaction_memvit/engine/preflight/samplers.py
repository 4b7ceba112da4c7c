# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""In which order samples come."""
from collections.abc import Iterator

from mmengine.dist import get_world_size

from .findings import Finding
from .run import Loader, Run

STREAM = 'StreamBatchSampler'


def streams_are_in_order(run: Run) -> Iterator[Finding]:
    """Clips of a video out of order, or side by side in a batch."""
    if not run.with_memory:
        return
    for loader in run.loaders:
        batches = loader.batch_sampler
        if not loader.is_stream or (batches is not None and
                                    (batches.is_a(STREAM)
                                     or batches.is_stranger)):
            continue
        if batches is None and _is_one_by_one(loader):
            continue
        if batches is None and loader.sampler and loader.sampler.is_stranger:
            continue
        order = batches or loader.sampler
        yield Finding(
            f'{loader.path}.batch_sampler',
            f'batches of {loader.batch_size} come from '
            f'{order or "no sampler"}'
            f'{" with shuffle=True" if loader.shuffles() else ""}, which '
            'does not let the clips of a video follow each other: the memory '
            'is torn', f'{loader.path}.batch_sampler='
            f"dict(type='{STREAM}')")


def _is_one_by_one(loader: Loader) -> bool:
    """Clip after clip, in the order of the data set."""
    return (loader.mode != 'train' and loader.batch_size == 1
            and get_world_size() == 1 and not loader.shuffles())


def sampler_fits_mode(run: Run) -> Iterator[Finding]:
    """A StreamBatchSampler that trains where it should evaluate."""
    for loader in run.loaders:
        batches = loader.batch_sampler
        if batches is None or not batches.is_a(STREAM):
            continue
        sampler = f'{loader.path}.sampler'
        mode = batches.get('mode') if batches.is_config else None
        if loader.mode == 'train':
            if mode == 'eval' or (mode is None and not loader.shuffles()):
                yield Finding(
                    f'{loader.path}.batch_sampler', f'mode={mode!r} with '
                    f'shuffle={loader.shuffles()} plans an evaluation: '
                    'batches shrink at the end, and processes have different '
                    'numbers of steps', f'{sampler}=dict(type='
                    "'DefaultSampler', shuffle=True), or for a fixed order "
                    f"{loader.path}.batch_sampler.mode='train'", False)
            continue
        if loader.shuffles():
            yield Finding(
                f'{sampler}.shuffle', 'shuffle=True in evaluation: clips '
                'come more than once, in an order drawn at random',
                f"{sampler}=dict(type='DefaultSampler', shuffle=False)")
        for option, value in (('mode', mode), ('split_videos', None),
                              ('max_stream_len', None)):
            value = value or batches.get(option)
            if value and (option, value) != ('mode', 'eval'):
                yield Finding(
                    f'{loader.path}.batch_sampler.{option}',
                    f'{option}={value!r} is for training; evaluation shows '
                    'every clip once', f'remove {option} from '
                    f'{loader.path}.batch_sampler')


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


def nothing_is_cut_off(run: Run) -> Iterator[Finding]:
    """Samples that evaluation leaves out."""
    if not run.is_ours:
        return
    for loader in run.loaders:
        option = loader.part.get('num_batch_per_epoch')
        if option and loader.part.is_config and loader.is_stream:
            yield Finding(
                f'{loader.path}.num_batch_per_epoch',
                f'num_batch_per_epoch={option} cuts streams off in the '
                'middle', f'remove num_batch_per_epoch from {loader.path}, '
                'and list fewer videos')
        elif loader.mode != 'train' and loader.part.get('drop_last') and \
                loader.dataset.is_ours:
            yield Finding(
                f'{loader.path}.drop_last', 'drop_last=True leaves samples '
                'of the evaluation out', f'{loader.path}.drop_last=False')


def windows_have_their_sampler(run: Run) -> Iterator[Finding]:
    """A batch sampler for streams over data that has none."""
    for loader in run.loaders:
        batches = loader.batch_sampler
        if batches is None or loader.is_stream or not loader.dataset.is_ours:
            continue
        right = getattr(loader.dataset.cls, 'batch_sampler', None)
        if batches.is_a(STREAM):
            change = (f"{loader.path}.batch_sampler=dict(type='{right}')"
                      if right else f'remove {loader.path}.batch_sampler')
            yield Finding(
                f'{loader.path}.batch_sampler', f'{STREAM} puts clips of a '
                f'video in order, but samples of {loader.dataset} are not '
                'places in a stream', change)


CHECKS = (streams_are_in_order, sampler_fits_mode, data_sets_fit_mode,
          nothing_is_cut_off, windows_have_their_sampler)
