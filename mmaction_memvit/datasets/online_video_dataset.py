# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Long videos as streams of consecutive clips."""
import copy
import logging
import os
import os.path as osp
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Optional, Union

import numpy as np
import torch
from mmaction.datasets.base import BaseActionDataset
from mmaction.registry import DATASETS
from mmengine.dataset import BaseDataset, force_full_init
from mmengine.dist import is_main_process
from mmengine.fileio import exists
from mmengine.logging import print_log
from mmengine.utils import ProgressBar, is_abs

from .clip_grid import ClipGrid
from .shared_state import SharedState
from .transforms.consistent import seeded
from .video_index import first_names, load_video_index, probe_video
from .video_list import read_video_list
from .video_reader import VideoReadError

BUILD_INDEX = 'python tools/data/build_video_index.py'
# Without an index so many videos are counted without a hint to build one.
_FEW_VIDEOS = 20
_NUM_IO_THREADS = 16
# Mistakes in a config or in code; never a reason to go on with other videos.
_NOT_THE_VIDEO = (KeyError, TypeError, AttributeError, NameError, ImportError,
                  AssertionError, NotImplementedError)
# Entries of this process, so that the datasets of a run that share videos
# count them once: (path, size, time of change) -> entry.
_probed: dict[tuple, dict] = {}


@DATASETS.register_module()
class OnlineVideoDataset(BaseActionDataset):
    """Consecutive clips of labelled videos, for models with memory.

    Every video gives clips 0, 1, 2, ... of ``clip_len`` frames that are
    ``frame_interval`` frames apart. Clips start ``clip_stride`` frames after
    each other; by default one starts where the one before it ends. A sample
    is one clip and tells which (``video_id``, ``timestamp``), so that
    ``StreamBatchSampler`` and the memory bank can follow the video.

    Two forms of list are read (see :func:`read_video_list`): MMAction2's
    ``path label`` and, with ``ann_format='segments'``, one line a labelled
    segment, ``path start end label`` in seconds. A clip then gets the label
    of the segment that it shares most time with (of equal ones, the first in
    the list), provided that this is ``min_overlap`` of the clip or of the
    segment; else its label is -1, not annotated. With ``multi_class`` it gets
    the labels of all segments that meet this condition.

    Samples hold these keys, which is what ``LoadVideoClip`` or MMAction2's
    ``DecordInit``, ``DecordDecode`` need, without a sampling transform:

    - ``filename`` (str), ``label`` (int, or with ``multi_class`` a float
      Tensor of shape (num_classes,), all -1 if not annotated),
    - ``video_id`` (str): the path as in the list,
    - ``timestamp`` (int): number of the clip in its video, from 0,
    - ``segment_id`` (str): the labelled segment, unique in the dataset; ``''``
      without one,
    - ``clip_range`` (tuple[int]): first and last frame that the clip stands
      for, from 0, inclusive,
    - ``frame_inds`` (np.ndarray): int64 of shape (clip_len,),
    - ``total_frames`` (int), ``fps`` (float), ``clip_len``,
      ``frame_interval``, ``num_clips`` (1), ``modality``, ``start_index``,
      ``sample_idx``, ``epoch`` and ``aug_seed`` (ints).

    A video that cannot be read in training is reported once and another
    sample, chosen by seed, epoch and index alone, takes the clip's place;
    :meth:`failure_counts` tells how often. In test mode it is an error.

    Args:
        ann_file (str): Path of the list.
        pipeline (list[dict | Callable]): The transforms.
        clip_len (int): Frames of a clip. Defaults to 16.
        frame_interval (int): Frames from one sampled frame to the next.
            Defaults to 4.
        clip_stride (int, optional): Frames from the start of a clip to the
            start of the next; less than ``clip_len * frame_interval`` gives
            clips that overlap. Defaults to None: clip_len * frame_interval.
        data_prefix (dict): ``video``: the folder that paths of the list start
            from. Defaults to ``dict(video='')``.
        index_file (str, optional): Frame counts, written by
            tools/data/build_video_index.py. Defaults to None: the videos are
            read through at the start, every time.
        ann_format (str): ``'video'`` or ``'segments'``. Defaults to
            ``'video'``.
        delimiter (str): What stands between the fields of the list; ``' '``
            means any white space. Defaults to ``' '``.
        num_classes (int, optional): Number of classes; labels must be below
            it. Defaults to None: the number of ``classes`` in ``metainfo``
            if there are any, else labels are not checked.
        multi_class (bool): Whether a clip may have several labels, which
            needs ``num_classes``. Defaults to False.
        last_clip (str): What becomes of the frames after the last full clip,
            if they are at least ``frame_interval``: ``'pad'`` makes a clip of
            them that repeats the last frame, ``'drop'`` leaves them out and
            says how many. Defaults to ``'pad'``.
        short_video (str): What to do with videos shorter than a clip:
            ``'error'``, ``'pad'`` (repeat the last frame) or ``'skip'``
            (leave them out, with a warning). Defaults to ``'error'``.
        missing_video (str): What to do with videos that are not there or, by
            the index, cannot be read: ``'error'``, ``'skip'`` (leave them
            out, with a warning) or ``'unchecked'`` (do not look for them; a
            missing one fails when it is read). Defaults to ``'error'``.
        min_overlap (float): See above, in (0, 1]. Defaults to 0.5.
        seed (int): Seed of replacement samples and of ``PerVideoAugment``.
            Defaults to 0.
        test_mode (bool): Whether videos that fail are an error. Defaults to
            False.
        max_refetch (int): In training, how many replacements in a row may
            fail before it is an error. Defaults to 20.
        **kwargs: Further arguments of MMAction2's ``BaseActionDataset``.

    Raises:
        FileNotFoundError: If the list, the index or videos do not exist.
        ValueError: If an argument or a line of the list is out of range, or
            the index does not fit.
    """

    def __init__(self,
                 ann_file: str,
                 pipeline: list[Union[dict, Callable]],
                 clip_len: int = 16,
                 frame_interval: int = 4,
                 clip_stride: Optional[int] = None,
                 data_prefix: Optional[dict] = None,
                 index_file: Optional[str] = None,
                 ann_format: str = 'video',
                 delimiter: str = ' ',
                 num_classes: Optional[int] = None,
                 multi_class: bool = False,
                 last_clip: str = 'pad',
                 short_video: str = 'error',
                 missing_video: str = 'error',
                 min_overlap: float = 0.5,
                 seed: int = 0,
                 test_mode: bool = False,
                 max_refetch: int = 20,
                 **kwargs) -> None:
        self.grid = ClipGrid(clip_len, frame_interval, clip_stride, last_clip)
        _check_choice('short_video', short_video, ('error', 'pad', 'skip'))
        _check_choice('missing_video', missing_video,
                      ('error', 'skip', 'unchecked'))
        if not 0 < min_overlap <= 1:
            raise ValueError(f'min_overlap={min_overlap} must be above 0 and '
                             'at most 1')
        self.index_file = index_file
        self.ann_format = ann_format
        self.delimiter = delimiter
        self.short_video = short_video
        self.missing_video = missing_video
        self.min_overlap = min_overlap
        # One clip: video, position in it and labelled segment (-1: none).
        self._clip_video = np.zeros(0, dtype=np.int32)
        self._clip_position = np.zeros(0, dtype=np.int32)
        self._clip_segment = np.zeros(0, dtype=np.int32)
        self._video_ids: list[str] = []
        self._state = SharedState(0, seed)
        prefix = {'video': ''} if data_prefix is None else dict(data_prefix)
        if prefix.get('video') is None:
            prefix['video'] = ''
        super().__init__(
            ann_file,
            pipeline=pipeline,
            data_prefix=prefix,
            test_mode=test_mode,
            multi_class=multi_class,
            num_classes=num_classes,
            max_refetch=max_refetch,
            **kwargs)

    # -- loading ------------------------------------------------------------

    def _join_prefix(self) -> None:
        super()._join_prefix()
        if self.index_file and self.data_root and not is_abs(self.index_file):
            self.index_file = osp.join(self.data_root, self.index_file)

    def full_init(self) -> None:
        """Loads list and index and divides the videos into clips."""
        if self._fully_initialized:
            return
        # BaseDataset would apply the indices to its data list, which holds
        # videos here, while the samples are clips.
        indices, self._indices = self._indices, None
        super().full_init()
        self._indices = indices
        if indices is not None:
            self.get_subset_(indices)

    def load_data_list(self) -> list[dict]:
        """Loads the videos.

        Returns:
            list[dict]: One dict for every video: ``video_id``, ``filename``,
            ``label``, ``num_frames``, ``fps`` and, with segments,
            ``segments``.
        """
        classes = self._metainfo.get('classes')
        if self.num_classes is None and classes is not None:
            self.num_classes = len(classes)
        if self.multi_class and self.num_classes is None:
            raise ValueError('multi_class=True needs num_classes, which is '
                             'None. Remedy: set num_classes in the config')
        rows = read_video_list(
            self.ann_file,
            ann_format=self.ann_format,
            delimiter=self.delimiter,
            multi_class=self.multi_class,
            num_classes=self.num_classes,
            need_label=not self.test_mode)
        videos = []
        for row in rows:
            path = row.pop('path')
            filename = osp.join(self.data_prefix['video'], path)
            videos.append({'video_id': path, 'filename': filename, **row})
        videos = self._drop_missing(videos)
        videos = self._add_frame_counts(videos)
        videos = self._drop_short(videos)
        if not videos:
            raise ValueError(f'no video of {self.ann_file!r} is left. Remedy: '
                             'see the warnings above')
        self._divide(videos)
        return videos

    def _drop_missing(self, videos: list[dict]) -> list[dict]:
        if self.missing_video == 'unchecked':
            return videos
        there = _in_threads(exists, [v['filename'] for v in videos])
        missing = [v['filename'] for v, x in zip(videos, there) if not x]
        return self._leave_out(
            missing, [v for v, x in zip(videos, there) if x],
            self.missing_video, FileNotFoundError,
            f'{len(missing)} of {len(videos)} videos of {self.ann_file!r} do '
            f'not exist: {first_names(missing)}', 'check data_prefix='
            f"dict(video={self.data_prefix['video']!r}), or leave them out by "
            "missing_video='skip'")

    def _drop_short(self, videos: list[dict]) -> list[dict]:
        if self.short_video == 'pad':
            return videos
        span = self.grid.span
        short = [v for v in videos if v['num_frames'] < span]
        names = [f"{v['filename']} ({v['num_frames']} frames)" for v in short]
        return self._leave_out(
            names, [v for v in videos if v['num_frames'] >= span],
            self.short_video, ValueError,
            f'{len(short)} of {len(videos)} videos of {self.ann_file!r} are '
            f'shorter than a clip of clip_len={self.grid.clip_len} x '
            f'frame_interval={self.grid.frame_interval} = {span} frames: '
            f'{first_names(names)}', "set short_video='pad' or 'skip', or a "
            'smaller clip_len or frame_interval')

    def _leave_out(self, names: list[str], kept: list[dict], policy: str,
                   error: type, what: str, remedy: str) -> list[dict]:
        if names and policy == 'error':
            raise error(f'{what}. Remedy: {remedy}')
        if names:
            print_log(
                f'{what}; they are left out',
                logger='current',
                level=logging.WARNING)
        return kept

    def _build_command(self) -> str:
        command = (f'run "{BUILD_INDEX} {self.ann_file} --data-root '
                   f"{self.data_prefix['video'] or '.'} --out "
                   f'{self.index_file or "INDEX.json"}')
        if self.ann_format != 'video':
            command += f' --ann-format {self.ann_format}'
        if self.delimiter != ' ':
            command += f' --delimiter {self.delimiter!r}'
        return command + '"'

    def _add_frame_counts(self, videos: list[dict]) -> list[dict]:
        if self.index_file:
            index = load_video_index(self.index_file, self._build_command())
            entries = self._match_index(videos, index)
        else:
            entries = self._probe(videos)
        for video, entry in zip(videos, entries):
            video['num_frames'] = entry['num_frames']
            video['fps'] = float(entry['fps'])
        broken = [
            f"{v['filename']} ({e.get('problem', 'no frames')})"
            for v, e in zip(videos, entries) if not e['num_frames']
        ]
        policy = 'skip' if self.missing_video == 'skip' else 'error'
        kept = self._leave_out(
            broken, [v for v in videos if v['num_frames']], policy, ValueError,
            f'{len(broken)} of {len(videos)} videos of {self.ann_file!r} '
            f'cannot be read: {first_names(broken)}', 'replace the files, or '
            "leave them out by missing_video='skip'")
        self._tell_problems(videos, entries)
        return kept

    def _tell_problems(self, videos: list[dict], entries: list[dict]) -> None:
        cut = [(v['video_id'], e) for v, e in zip(videos, entries)
               if e['num_frames'] and 'problem' in e]
        if cut:
            print_log(
                f'{len(cut)} videos are damaged and used as far as they can '
                'be read: ' + first_names(f'{v} ({e["problem"]})'
                                          for v, e in cut),
                logger='current',
                level=logging.WARNING)
        drift = [(v['video_id'], e) for v, e in zip(videos, entries)
                 if 'time_drift' in e]
        if drift and self.ann_format == 'segments':
            worst = max(e['time_drift'] for _, e in drift)
            print_log(
                f'{len(drift)} videos have a variable frame rate: '
                f'{first_names(v for v, _ in drift)}. The times of their '
                f'segments are off by up to {worst:g} s. Remedy: encode them '
                'at a constant rate ("ffmpeg -i IN -r 30 OUT") and build the '
                'index anew',
                logger='current',
                level=logging.WARNING)

    def _match_index(self, videos: list[dict], index: dict) -> list[dict]:
        lacking = [v['video_id'] for v in videos if v['video_id'] not in index]
        if lacking:
            known = f'it holds {len(index)}, for example ' \
                f'{first_names(index)}' if index else 'it is empty'
            raise ValueError(
                f'index_file {self.index_file!r} lacks {len(lacking)} of '
                f'{len(videos)} videos of {self.ann_file!r}: '
                f'{first_names(lacking)}; {known}. Remedy: '
                f'{self._build_command()}, which keeps what is there')
        entries = [index[v['video_id']] for v in videos]
        if self.missing_video != 'unchecked':
            sizes = _in_threads(_size_of, [v['filename'] for v in videos])
            changed = [
                v['video_id'] for v, e, s in zip(videos, entries, sizes)
                if s is not None and e.get('size', s) != s
            ]
            if changed:
                raise ValueError(
                    f'index_file {self.index_file!r} does not match the '
                    f'videos: {len(changed)} of {len(videos)} have another '
                    f'size than when it was built: {first_names(changed)}. '
                    f'Remedy: {self._build_command()}')
        return entries

    def _probe(self, videos: list[dict]) -> list[dict]:
        if len(videos) > _FEW_VIDEOS:
            print_log(
                f'Counting the frames of {len(videos)} videos, since '
                'index_file is not set. To do so once and for all, '
                f'{self._build_command()} and set index_file',
                logger='current',
                level=logging.WARNING)
        show = len(videos) > _FEW_VIDEOS and is_main_process()
        bar = ProgressBar(len(videos)) if show else None
        names = [v['filename'] for v in videos]
        entries = []
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for entry in pool.map(_probe_once, names):
                entries.append(entry)
                if bar is not None:
                    bar.update()
        if bar is not None:
            bar.file.write('\n')
        return entries

    def _divide(self, videos: list[dict]) -> None:
        """Plans the clips: numbers only, a few bytes for every clip."""
        counts = np.asarray(
            [self.grid.num_clips(v['num_frames']) for v in videos])
        firsts = np.cumsum(counts) - counts
        self._clip_video = np.repeat(
            np.arange(len(videos), dtype=np.int32), counts)
        self._clip_position = (np.arange(len(self._clip_video)) -
                               firsts[self._clip_video]).astype(np.int32)
        self._clip_segment = np.full(len(self._clip_video), -1, np.int32)
        unused = []
        if self.ann_format == 'segments':
            for video, first, count in zip(videos, firsts, counts):
                shared = self._shared_seconds(video, np.arange(count))
                chosen = np.where(shared.any(1), shared.argmax(1), -1)
                self._clip_segment[first:first + count] = chosen
                used = np.flatnonzero(shared.any(0)) if self.multi_class \
                    else chosen
                unused += [
                    self._segment_id(video, k) for k in np.setdiff1d(
                        np.arange(len(video['segments'])), used)
                ]
        self._video_ids = [v['video_id'] for v in videos]
        self._state = SharedState(len(videos), self._state.seed)
        self._report(videos, counts, unused)

    def _report(self, videos: list[dict], counts: np.ndarray,
                unused: list[str]) -> None:
        hours = sum(v['num_frames'] / v['fps'] for v in videos) / 3600
        text = (f'{osp.basename(self.ann_file)}: {len(videos)} videos, '
                f'{hours:.4g} h, {counts.sum()} clips of '
                f'{self.grid.clip_len} x {self.grid.frame_interval} frames, '
                f'{counts.min()} to {counts.max()} a video')
        if self.ann_format == 'segments':
            share = (self._clip_segment < 0).mean()
            text += f', {share:.1%} of the clips not annotated'
        if self.grid.last_clip == 'drop':
            lost = sum(self.grid.num_left_out(v['num_frames']) for v in videos)
            total = sum(v['num_frames'] for v in videos)
            text += (f"; last_clip='drop' leaves out {lost} frames at the "
                     f'ends ({lost / total:.1%})')
        print_log(text, logger='current')
        if unused:
            print_log(
                f'{len(unused)} labelled segments are the label of no clip: '
                f'{first_names(unused)}. They are shorter than a clip, hidden '
                'by others, or after the end of the video. Remedy, where they '
                'matter: a smaller clip_stride',
                logger='current',
                level=logging.WARNING)

    # -- clips --------------------------------------------------------------

    def _shared_seconds(self, video: dict,
                        positions: np.ndarray) -> np.ndarray:
        """Seconds that clips share with the segments, 0 where too few.

        Returns:
            np.ndarray: Of shape (number of positions, number of segments).
        """
        first, last = self.grid.frame_range(positions, video['num_frames'])
        start = first[:, None] / video['fps']
        end = (last[:, None] + 1) / video['fps']
        times = np.asarray([s[:2] for s in video['segments']])
        shared = np.minimum(end, times[:, 1]) - np.maximum(start, times[:, 0])
        needed = np.minimum(end - start, times[:, 1] - times[:, 0])
        # Rounding: half a clip exactly must count as half a clip.
        shared = shared.round(9)
        enough = shared >= (self.min_overlap * needed).round(9)
        return np.where(enough & (shared > 0), shared, 0.)

    @staticmethod
    def _segment_id(video: dict, number: int) -> str:
        return f"{video['video_id']}#{number}"

    @force_full_init
    def __len__(self) -> int:
        """Number of clips."""
        return len(self._clip_video)

    def get_video_info(self, video: int) -> dict:
        """What is known of a video.

        Args:
            video (int): Its number, in the order of :attr:`video_ids`.

        Returns:
            dict: See :meth:`load_data_list`.
        """
        return BaseDataset.get_data_info(self, video)

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """What the pipeline gets for a clip.

        Args:
            idx (int): Number of the clip.

        Returns:
            dict: The keys that the class describes.
        """
        idx = range(len(self))[idx]
        position = int(self._clip_position[idx])
        video = self.get_video_info(int(self._clip_video[idx]))
        num_frames = video['num_frames']
        first, last = self.grid.frame_range(position, num_frames)
        segment = int(self._clip_segment[idx])
        return {
            'filename': video['filename'],
            'label': self._label(video, position, segment),
            'video_id': video['video_id'],
            'timestamp': position,
            'segment_id':
            '' if segment < 0 else self._segment_id(video, segment),
            'clip_range': (int(first), int(last)),
            'frame_inds': self.grid.frame_inds(position, num_frames),
            'total_frames': num_frames,
            'fps': video['fps'],
            'clip_len': self.grid.clip_len,
            'frame_interval': self.grid.frame_interval,
            'num_clips': 1,
            'modality': self.modality,
            'start_index': self.start_index,
            'sample_idx': idx,
            'epoch': self.epoch,
            'aug_seed': self._state.seed,
        }

    def _label(self, video: dict, position: int,
               segment: int) -> Union[int, torch.Tensor]:
        if not self.multi_class:
            if self.ann_format == 'video':
                return video['label']
            labels = video['segments'][segment][2] if segment >= 0 else ()
            return labels[0] if labels else -1
        labels = video['label']
        if self.ann_format == 'segments':
            found = self._shared_seconds(video, np.asarray([position]))[0] > 0
            labels = [
                x for s, f in zip(video['segments'], found) if f for x in s[2]
            ]
        if not labels:
            return torch.full((self.num_classes, ), -1.)
        return torch.zeros(self.num_classes).index_fill_(
            0, torch.tensor(labels), 1.)

    @property
    @force_full_init
    def video_ids(self) -> list[str]:
        """Names of the videos, whether clips of them are used or not."""
        return list(self._video_ids)

    @force_full_init
    def stream_keys(self) -> list[tuple[str, int]]:
        """Video and position of every clip, without reading any video.

        Returns:
            list[tuple[str, int]]: ``(video_id, timestamp)`` by index.
        """
        names = self._video_ids
        return [(names[v], p) for v, p in zip(self._clip_video.tolist(),
                                              self._clip_position.tolist())]

    @force_full_init
    def get_subset_(self, indices: Union[Sequence[int], int]) -> None:
        """Keeps some of the clips only.

        Args:
            indices (int | Sequence[int]): Numbers of the clips to keep, or
                how many of the first (of the last, if negative).
        """
        if isinstance(indices, int):
            keep = slice(indices) if indices >= 0 else slice(indices, None)
        else:
            keep = np.asarray(indices, dtype=np.int64)
        self._clip_video = self._clip_video[keep]
        self._clip_position = self._clip_position[keep]
        self._clip_segment = self._clip_segment[keep]

    @force_full_init
    def get_subset(
            self, indices: Union[Sequence[int],
                                 int]) -> 'OnlineVideoDataset':
        """A copy with some of the clips only, see :meth:`get_subset_`."""
        subset = copy.deepcopy(self)
        subset.get_subset_(indices)
        return subset

    # -- epochs and failures ------------------------------------------------

    @property
    def epoch(self) -> int:
        """The epoch set last, in this process or in the one that loads."""
        return self._state.epoch

    def set_epoch(self, epoch: int, seed: Optional[int] = None) -> None:
        """Tells the epoch, also to data loader workers that live on.

        Args:
            epoch (int): Number of the epoch, from 0.
            seed (int, optional): What ``seed`` becomes. Defaults to None: it
                stays.
        """
        self._state.epoch = epoch
        if seed is not None:
            self._state.seed = seed

    @force_full_init
    def failure_counts(self) -> dict[str, int]:
        """How often a video could not be read and a sample was replaced.

        Counts of all workers since the start, also while they live.

        Returns:
            dict[str, int]: Number of failures by ``video_id``, of the videos
            that have any.
        """
        counts = self._state.failures()
        return {
            self._video_ids[i]: int(counts[i])
            for i in counts.nonzero()[0]
        }

    def prepare_data(self, idx: int) -> Any:
        """Runs the pipeline for a clip.

        Args:
            idx (int): Number of the clip.

        Returns:
            Any: What the pipeline returns; None if, in training, the video
            cannot be read.

        Raises:
            VideoReadError: If, in test mode, the video cannot be read.
        """
        info = self.get_data_info(idx)
        name = info['filename']
        first, last = int(info['frame_inds'][0]), int(info['frame_inds'][-1])
        try:
            if self.test_mode:
                return self.pipeline(info)
            # A sample's draws depend on seed, epoch and clip alone, not on
            # how many workers there are nor on what they drew before.
            with seeded(info['aug_seed'], info['epoch'], idx):
                return self.pipeline(info)
        except _NOT_THE_VIDEO:
            raise
        except Exception as e:
            # Once there are images it is no longer the video's fault.
            if 'imgs' in info:
                raise
            what = (f'video {name!r}: frames {first} to {last} cannot be read '
                    f'({type(e).__name__}: {_first_line(e)})')
            if self.test_mode:
                raise VideoReadError(
                    f'{what}. Remedy: replace the file; or take it out of '
                    f'{self.ann_file!r}; or, if it is cut off, '
                    f'{self._build_command()}, so that only what can be read '
                    'is used') from e
        if self._state.add_failure(int(self._clip_video[idx])):
            print_log(
                f'{what}. Another clip takes its place, and its stream starts '
                'anew. Told once for a video; see failure_counts() for more',
                logger='current',
                level=logging.WARNING)
        return None

    def __getitem__(self, idx: int) -> Any:
        """Loads a clip, in training another one where it cannot be read."""
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


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else ''


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f'{name}={value!r} is unknown; it must be one of '
                         f'{choices}')


def _probe_once(filename: str) -> dict:
    try:
        stat = os.stat(filename)
    except OSError:
        return probe_video(filename)
    key = (osp.abspath(filename), stat.st_size, stat.st_mtime_ns)
    if key not in _probed:
        _probed[key] = probe_video(filename)
    return _probed[key]


def _size_of(filename: str) -> Optional[int]:
    try:
        return osp.getsize(filename)
    except OSError:
        # Not a local file: what cannot be measured is not compared.
        return None


def _in_threads(func: Callable, names: list[str]) -> list:
    """Asks about files in threads: network file systems answer slowly."""
    with ThreadPoolExecutor(_NUM_IO_THREADS) as pool:
        return list(pool.map(func, names, chunksize=1))
