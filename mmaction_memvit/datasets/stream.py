# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What all data sets share: samples that are places in videos."""
import copy
import hashlib
import os.path as osp
import random
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any, Callable, Optional, Union

import numpy as np
import torch
from mmaction.datasets.base import BaseActionDataset
from mmengine.dataset import BaseDataset, force_full_init
from mmengine.utils import is_abs

from ..messages import first_names, log, warn
from ..video.frames import VideoReadError

#: Keys of a video that tell loading transforms where its pictures are.
SOURCE_KEYS = ('filename', 'frame_dir', 'feature_files', 'frame_table',
               'filename_tmpl', 'feature_of')
# Mistakes in a config or in code; never a reason to go on with other videos.
_NOT_THE_VIDEO = (KeyError, TypeError, AttributeError, NameError, ImportError,
                  AssertionError, NotImplementedError)


@contextmanager
def seeded(*parts: Union[int, str]):
    """Seeds Python's, NumPy's and PyTorch's CPU generator for a while."""
    # hash() differs between the processes of the workers, this does not.
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    seed = int.from_bytes(digest, 'little')
    states = (random.getstate(), np.random.get_state(),
              torch.default_generator.get_state())
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)
        # torch.manual_seed would reseed the GPU's generators as well.
        torch.default_generator.manual_seed(seed % 2**63)
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.default_generator.set_state(states[2])


class SharedState:
    """Epoch, seed and failures by video, in shared memory.

    So a data set and its workers that live on over epochs tell each other.
    """

    def __init__(self, num_videos: int, seed: int = 0) -> None:
        # Epoch, seed, whether the epoch is told, whether its lack is told.
        self.numbers = torch.tensor([0, seed, 0, 0])
        self.failures = torch.zeros(num_videos, dtype=torch.int32)
        self._share()

    epoch = property(lambda self: int(self.numbers[0]))
    seed = property(lambda self: int(self.numbers[1]))

    def _share(self) -> None:
        try:
            self.numbers.share_memory_()
            self.failures.share_memory_()
        except (RuntimeError, OSError) as e:
            warn(f'No shared memory ({e}): persistent data loader workers do '
                 'not learn the epoch, and failures that they meet are not '
                 'counted. Remedy: give the container more of it, such as '
                 '"docker run --shm-size=8g"')

    def __deepcopy__(self, memo: dict) -> 'SharedState':
        # A copied tensor would no longer be shared.
        memo[id(self)] = other = copy.copy(self)
        other.numbers = self.numbers.clone()
        other.failures = self.failures.clone()
        other._share()
        return other


class StreamDataset(BaseActionDataset):
    """Base of data sets whose samples are places in videos, in order.

    A sample is a clip, a keyframe or a video; ``(video_id, position)`` tells
    which, so that ``StreamBatchSampler`` and the memory bank can follow the
    video. The data list of MMEngine holds videos; of samples there are only
    arrays of numbers, which data loader workers share.

    A data set consists of a reader, :meth:`load_videos`; a grid of places,
    :meth:`plan_samples`; and a rule for labels, :meth:`sample_keys`. Samples
    hold these keys beside those of :meth:`sample_keys`:

    - those of ``SOURCE_KEYS`` that loading transforms need,
    - ``video_id`` (str), ``timestamp`` (int): the video, and the position
      there; data sets for models with memory add ``start_seconds`` (float),
      when the clip begins,
    - ``total_frames`` (int), ``fps`` and ``avg_fps`` (float): of the video,
    - ``modality``, ``start_index`` (0 for video files), ``sample_idx``,
      ``aug_seed`` (ints) and ``epoch``: an int, or None in training where
      nobody tells it and no :attr:`batch_sampler` is needed.

    A sample that cannot be read is an error in test mode; in training it is
    reported once for its video, and another one takes its place. Which one,
    and what transforms draw, depends on seed, epoch and index alone, if
    someone tells the epoch, as ``StreamBatchSampler`` does. Else draws are
    those of the process; a warning tells where epochs would be augmented
    alike, see :attr:`batch_sampler`.

    Args:
        ann_file (str): Path of the annotations. Relative paths of files start
            from ``data_root``, where that is given.
        pipeline (list[dict | Callable]): The transforms.
        seed (int): Seed of replacement samples, of what transforms draw in
            training and of ``PerVideoAugment``. Defaults to 0.
        max_refetch (int): In training, how many replacements in a row may
            fail before it is an error. Defaults to 20.
        **kwargs: Further arguments of MMAction2's ``BaseActionDataset``.
    """

    #: What the log says beside the size of the data set; plan_samples sets it.
    summary: str = ''
    #: What a sample is called in messages.
    sample_kind: str = 'clip'
    #: Type of the batch sampler that training needs, which tells the epoch;
    #: None for samples that have nothing to do with each other.
    batch_sampler: Optional[str] = 'StreamBatchSampler'

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 seed: int = 0, max_refetch: int = 20, **kwargs) -> None:
        #: dict[str, np.ndarray]: What :meth:`plan_samples` gives.
        self.samples: dict[str, np.ndarray] = {}
        self._state = SharedState(0, seed)
        super().__init__(ann_file, pipeline=pipeline, max_refetch=max_refetch,
                         **kwargs)

    def load_videos(self) -> list[dict]:
        """Reads the annotations and finds the videos, as dicts.

        They have ``video_id``, ``num_frames``, ``fps`` and ``SOURCE_KEYS``.
        """
        raise NotImplementedError

    def plan_samples(self, videos: list[dict]) -> dict[str, np.ndarray]:
        """Chooses the samples; by default every video is one.

        The result are arrays with one entry a sample: ``video``, its number
        in ``videos``, ``position``, and any others.
        """
        return dict(video=np.arange(len(videos), dtype=np.int32),
                    position=np.zeros(len(videos), np.int32))

    def sample_keys(self, idx: int, video: dict) -> dict:
        """Label, frames and the like of a sample, which is of a video."""
        return {}

    def describe_sample(self, info: dict) -> str:
        """The place of a sample in its video, for error messages."""
        if 'frame_inds' not in info:
            return f"position {info['timestamp']}"
        frames = np.asarray(info['frame_inds']).ravel()
        return f'frames {int(frames[0])} to {int(frames[-1])}'

    def if_cut_off(self) -> str:
        """What to do about a video that ends early, '' for nothing."""
        return ''

    # -- loading ------------------------------------------------------------

    def _join_root(self, path: Optional[str]) -> Optional[str]:
        if path and self.data_root and not is_abs(path):
            return osp.join(self.data_root, path)
        return path

    def load_data_list(self) -> list[dict]:
        """Loads the videos and plans the samples; gives the videos."""
        videos = self.load_videos()
        if not videos:
            raise ValueError(f'no video of {self.ann_file!r} is left. Remedy: '
                             'see the warnings above')
        self._video_ids = [v['video_id'] for v in videos]
        self._state = SharedState(len(videos), self._state.seed)
        self.samples = self.plan_samples(videos)
        hours = sum(v['num_frames'] / v['fps'] for v in videos) / 3600
        num = len(self.samples['video'])
        log(f'{osp.basename(self.ann_file)}: {len(videos)} videos, '
            f'{hours:.4g} h'
            + f', {num} {self.sample_kind}s' * (self.sample_kind != 'video')
            + self.summary)
        return videos

    def full_init(self) -> None:
        """Loads the annotations and plans the samples."""
        if self._fully_initialized:
            return
        # BaseDataset would apply them to its data list, which holds videos.
        indices, self._indices = self._indices, None
        super().full_init()
        self._indices = indices
        if indices is not None:
            self.get_subset_(indices)

    # -- samples ------------------------------------------------------------

    @force_full_init
    def __len__(self) -> int:
        """Number of samples."""
        return len(self.samples['video'])

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """What the pipeline gets for a sample: the keys of the class."""
        idx = range(len(self))[idx]
        number = int(self.samples['video'][idx])
        video = self.get_video_info(number)
        # Every reading is then augmented anew.
        alone = self.batch_sampler is None and self._epoch_is_missing
        return {
            **{k: video[k] for k in SOURCE_KEYS if k in video},
            'video_id': self._video_ids[number],
            'timestamp': int(self.samples['position'][idx]),
            'total_frames': video['num_frames'],
            'fps': video['fps'],
            'avg_fps': video['fps'],
            'modality': self.modality,
            'start_index': self.start_index,
            'sample_idx': idx,
            'epoch': None if alone else self.epoch,
            'aug_seed': self._state.seed,
            **self.sample_keys(idx, video)}

    def get_video_info(self, video: int) -> dict:
        """What :meth:`load_videos` says of a video, by its number."""
        return BaseDataset.get_data_info(self, video)

    @property
    @force_full_init
    def video_ids(self) -> list[str]:
        """Names of the videos, whether samples of them are used or not."""
        return list(self._video_ids)

    @force_full_init
    def stream_keys(self) -> list[tuple[str, int]]:
        """``(video_id, timestamp)`` of every sample; reads no video."""
        names = self._video_ids
        return [(names[v], p) for v, p in zip(
            self.samples['video'].tolist(), self.samples['position'].tolist())]

    @force_full_init
    def get_subset_(self, indices: Union[Sequence[int], int]) -> None:
        """Keeps the samples of some numbers, or so many first (last if <0)."""
        if isinstance(indices, int):
            keep = slice(indices) if indices >= 0 else slice(indices, None)
        else:
            keep = np.asarray(indices, dtype=np.int64)
        self.samples = {k: x[keep] for k, x in self.samples.items()}

    @force_full_init
    def get_subset(self, indices) -> 'StreamDataset':
        """A copy with some of the samples only, see :meth:`get_subset_`."""
        subset = copy.deepcopy(self)
        subset.get_subset_(indices)
        return subset

    # -- fetching -----------------------------------------------------------

    @property
    def epoch(self) -> int:
        """The epoch set last."""
        return self._state.epoch

    def set_epoch(self, epoch: int, seed: Optional[int] = None) -> None:
        """Tells the epoch, from 0, and a ``seed`` in place of the option's."""
        numbers = self._state.numbers
        numbers[0], numbers[2] = epoch, 1
        if seed is not None:
            numbers[1] = seed

    @property
    def _epoch_is_missing(self) -> bool:
        return not self.test_mode and not self._state.numbers[2]

    def draws_by_epoch(self) -> bool:
        """Whether something is drawn once an epoch, for several samples."""
        return any(getattr(x, 'draws_by_epoch', False)
                   for x in self.pipeline.transforms)

    @force_full_init
    def failure_counts(self) -> dict[str, int]:
        """How often a video could not be read, by ``video_id``, if ever."""
        return {name: n for name, n in zip(
            self._video_ids, self._state.failures.tolist()) if n}

    def prepare_data(self, idx: int) -> Any:
        """Runs the pipeline; a video that cannot be read gives None.

        In test mode it is a VideoReadError.
        """
        data = self.run_pipeline(
            self.get_data_info(idx), int(self.samples['video'][idx]), idx)
        return self.with_place(data, idx)

    def with_place(self, data: Any, idx: int) -> Any:
        """In test mode adds ``place`` to what the pipeline gives.

        That are the number of the sample, how many there are, and video and
        position of the next: by these a dump of scores tells what it lacks.
        """
        sample = data.get('data_samples') if isinstance(data, dict) else None
        if self.test_mode and hasattr(sample, 'set_metainfo'):
            idx, num = range(len(self))[idx], len(self)
            video, position = (int(self.samples[k][(idx + 1) % num])
                               for k in ('video', 'position'))
            sample.set_metainfo(
                dict(place=(idx, num, (self._video_ids[video], position))))
        return data

    def run_pipeline(self, info: dict, video: int, *draw: int) -> Any:
        """Runs the pipeline for a clip of a video, see :meth:`prepare_data`.

        What transforms draw in training depends on seed, epoch and ``draw``.
        """
        state = self._state
        if (self._epoch_is_missing and self.batch_sampler is not None
                and self.draws_by_epoch() and not state.numbers[3]):
            state.numbers[3] = 1
            warn(f'{type(self).__name__}: nobody tells the epoch, so what is '
                 'drawn once an epoch, by PerVideoAugment or otherwise, is '
                 'the same in all epochs. Remedy: in train_dataloader, '
                 f'batch_sampler=dict(type={self.batch_sampler!r}); or call '
                 'set_epoch(epoch) before every epoch')
        try:
            # Draws of an epoch that never ends would be the same for ever.
            if self.test_mode or self._epoch_is_missing:
                return self.pipeline(info)
            # Not on how many workers there are nor on what they drew before.
            with seeded(info['aug_seed'], info['epoch'], *draw):
                return self.pipeline(info)
        except _NOT_THE_VIDEO:
            raise
        except Exception as e:
            # Once there are images it is no longer the video's fault.
            if 'imgs' in info:
                raise
            self._report_failure(info, video, e)
        return None

    def _report_failure(self, info: dict, video: int, e: Exception) -> None:
        name = info.get('filename') or info.get('frame_dir', info['video_id'])
        why = (str(e).strip().splitlines() or [''])[0]
        why, _, remedy = why.partition('. Remedy: ')
        what = (f'video {name!r}: {self.describe_sample(info)} cannot be read '
                f'({type(e).__name__}: {why})')
        if self.test_mode:
            cut = self.if_cut_off()
            cut = cut and (f'; or, if it is cut off, {cut}, so that only what '
                           'can be read is used')
            remedy = remedy or 'replace the file'
            raise VideoReadError(f'{what}. Remedy: {remedy}; or take it out '
                                 f'of {self.ann_file!r}{cut}') from e
        # Two workers that meet it at the same moment both tell.
        first = not self._state.failures[video]
        self._state.failures[video] += 1
        if first:
            anew = ', and its stream starts anew' * (
                self.batch_sampler == 'StreamBatchSampler')
            warn(f'{what}. Another {self.sample_kind} takes its place{anew}. '
                 'Told once for a video; see failure_counts() for more')

    def __getitem__(self, idx: int) -> Any:
        """Loads a sample, in training another one if it cannot be read."""
        if not self._fully_initialized or self.test_mode:
            return super().__getitem__(idx)
        chosen = idx
        for attempt in range(self.max_refetch + 1):
            data = self.prepare_data(chosen)
            if data is not None:
                return data
            # Not the global generator: which worker meets the failure must
            # not decide what is trained on.
            parts = (self._state.seed, self.epoch, idx, attempt)
            rng = np.random.default_rng([p % 2**32 for p in parts])
            chosen = int(rng.integers(len(self)))
        counts = self.failure_counts()
        raise RuntimeError(
            f'sample {idx} and {self.max_refetch} replacements in a row gave '
            f'nothing; {len(counts)} videos could not be read in this '
            f'training: {first_names(counts)}. Remedy: see the warnings '
            'about these videos; if they are in order, look for a transform '
            'that returns None')
