# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Charades: home videos with several actions each."""
import os.path as osp
from typing import Callable, Optional, Union

import numpy as np
import torch
from mmaction.registry import DATASETS
from mmengine.dataset import force_full_init
from mmengine.logging import print_log

from mmaction_memvit.annotations.charades import (
    NUM_CLASSES,
    TIME_TOLERANCE,
    CharadesVideo,
    read_charades,
)

from ..video.find import count_frame_images
from ..video.index import first_names, in_threads
from .source_options import (
    check_command,
    check_no_index,
    video_or_frames,
)
from .stream_dataset import StreamDataset
from .transforms.clip_labels import LabelSampledClips
from .video_files import VideoFiles, leave_out, video_source

CHECK_CHARADES = 'python tools/data/charades/check_charades.py'


@DATASETS.register_module()
class CharadesDataset(StreamDataset):
    """Videos with many-hot labels, for pipelines of MMAction2.

    Reads the official lists, and video files, which are found by their id
    whatever the suffix, or the official folders of frames
    (``46GP8/46GP8-000001.jpg``). A sample is a video::

        [dict(type='SampleFrames', clip_len=64, frame_interval=2,
              num_clips=4),
         dict(type='LoadVideoClip'),        # of frames: RawFrameDecode
         ...]

    It holds these keys:

    - ``filename`` of the video, or ``frame_dir`` and ``filename_tmpl``,
    - ``label`` (Tensor): float32 of shape (num_classes, ), ones for all
      actions of the video; all zeros for a video without actions, which is a
      negative of every class. Put ``LabelSampledClips`` after
      ``SampleFrames`` to train with the actions that the sampled clips show,
    - ``actions`` (np.ndarray): int64 of shape (A, ), ``action_times``: float64
      of shape (A, 2), seconds,
    - ``video_id`` (str), ``timestamp`` (int, 0),
    - ``total_frames``, ``start_index`` (ints): of file or folder,
    - ``fps``, ``avg_fps`` (float): rate of the video or of the frames, for
      ``SampleFrames(target_fps=...)``,
    - ``modality``, ``sample_idx``, ``epoch``, ``aug_seed``.

    In test mode ``metainfo`` has ``video_ids``, so that metrics can name
    videos that were not scored. A video that cannot be read in training is
    reported once and another one takes its place, see
    :class:`StreamDataset`.

    Args:
        ann_file (str): ``Charades_v1_train.csv`` or ``Charades_v1_test.csv``,
            or a file with the columns id, actions and length.
        pipeline (list[dict | Callable]): The transforms.
        data_prefix (dict, optional): ``video``: folder of the videos; or
            ``img``: folder of the frame folders. Defaults to None, which is
            ``dict(video='')``.
        index_file (str, optional): Frame counts of the videos, written by
            tools/data/charades/check_charades.py. Defaults to None: videos
            are read through at the start, every time.
        num_classes (int): Number of classes. Defaults to 157.
        multi_class (bool): A video has several labels: always True.
        fps (float): Rate of frames in folders; that of videos is known.
            Defaults to 24, that of ``Charades_v1_rgb``.
        filename_tmpl (str): Names of frames in folders; ``{video_id}`` is
            the video's id. Defaults to ``'{video_id}-{:06}.jpg'``.
        start_index (int): Number of the first frame in folders. Defaults to
            1.
        missing_video (str): What to do with videos or folders that are not
            there or cannot be read: ``'error'``, ``'skip'`` (leave them out,
            with a warning) or ``'unchecked'`` (believe ``index_file``, and do
            not look for them). Defaults to ``'error'``.
        reversed_times (str): What to do with actions that end before they
            start, see :func:`read_charades`. Defaults to ``'keep'``.
        time_tolerance (float): Seconds by which actions may end after their
            video. Defaults to 2.
        seed (int): Seed of replacement samples and of what transforms draw
            in training. Defaults to 0.
        test_mode (bool): Whether videos that fail are an error. Defaults to
            False.
        **kwargs: Further arguments of :class:`StreamDataset`.

    Raises:
        FileNotFoundError: If files or videos do not exist.
        ValueError: If an argument is out of range, a row of the list cannot
            be understood, or a video cannot be read.
    """

    sample_kind = 'video'
    batch_sampler = None

    def __init__(self,
                 ann_file: str,
                 pipeline: list[Union[dict, Callable]],
                 data_prefix: Optional[dict] = None,
                 index_file: Optional[str] = None,
                 num_classes: int = NUM_CLASSES,
                 multi_class: bool = True,
                 fps: float = 24.,
                 filename_tmpl: str = '{video_id}-{:06}.jpg',
                 start_index: int = 1,
                 missing_video: str = 'error',
                 reversed_times: str = 'keep',
                 time_tolerance: float = TIME_TOLERANCE,
                 seed: int = 0,
                 test_mode: bool = False,
                 **kwargs) -> None:
        prefix, self.use_frames = video_or_frames(data_prefix)
        if not multi_class:
            raise ValueError('multi_class=False cannot be: videos of Charades '
                             'have several labels. Remedy: leave it out, and '
                             'set multi_class=True in the head')
        if not num_classes >= 1:
            raise ValueError(f'num_classes={num_classes} must be at least 1')
        if not fps > 0:
            raise ValueError(f'fps={fps} must be above 0')
        if self.use_frames:
            check_no_index(index_file)
        if missing_video == 'unchecked' and index_file is None:
            raise ValueError("missing_video='unchecked' needs an index_file, "
                             'which tells where the videos are and how long')
        self.fps = fps
        self.filename_tmpl = filename_tmpl
        self.reversed_times = reversed_times
        self.time_tolerance = time_tolerance
        super().__init__(
            ann_file,
            pipeline=pipeline,
            data_prefix=prefix,
            index_file=index_file,
            missing_video=missing_video,
            seed=seed,
            test_mode=test_mode,
            num_classes=num_classes,
            multi_class=True,
            start_index=start_index if self.use_frames else 0,
            **kwargs)
        if test_mode and any(
                isinstance(x, LabelSampledClips)
                for x in self.pipeline.transforms):
            raise ValueError(
                'LabelSampledClips in a pipeline with test_mode=True: videos '
                'are scored against all of their actions. Remedy: take it '
                'out')

    @property
    def metainfo(self) -> dict:
        """Meta information; in test mode with ``video_ids``, if loaded."""
        meta = super().metainfo
        if self.test_mode and self._fully_initialized:
            meta['video_ids'] = [
                self._video_ids[v] for v in self._clip_video.tolist()]
        return meta

    # -- loading ------------------------------------------------------------

    def build_command(self) -> str:
        """The command that writes the index, for error messages."""
        return check_command(CHECK_CHARADES, self.ann_file, self.data_prefix,
                             self.index_file)

    def load_data_list(self) -> list[dict]:
        """Loads the annotations and looks for the videos.

        Returns:
            list[dict]: One dict for every video: ``video_id``, ``filename``
            or ``frame_dir``, ``num_frames``, ``fps``, ``actions`` and
            ``action_times``.
        """
        rows = {
            row.video_id: row
            for row in read_charades(self.ann_file, self.num_classes,
                                     self.reversed_times, self.time_tolerance)
        }
        files = self.video_files(need_times=True)
        if self.use_frames:
            videos = self._count_folders(list(rows.values()), files)
        else:
            videos = files.find({v: [v]
                                 for v in rows}, self.data_prefix['video'])
        if not videos:
            raise ValueError(f'no video of {self.ann_file!r} is left. Remedy: '
                             'see the warnings above')
        for video in videos:
            row = rows[video['video_id']]
            video.update(actions=row.classes, action_times=row.times)
        self.set_samples([v['video_id'] for v in videos],
                         _clip_video=np.arange(len(videos), dtype=np.int32),
                         _clip_position=np.zeros(len(videos), np.int32))
        num_empty = sum(not len(v['actions']) for v in videos)
        print_log(
            f'{osp.basename(self.ann_file)}: {len(videos)} of {len(rows)} '
            f'videos, {num_empty} of them without actions',
            logger='current')
        return videos

    def _frame_names(self, video_id: str) -> str:
        """Template of the names of a video's frames, by their numbers."""
        return self.filename_tmpl.replace('{video_id}', video_id)

    def _count_folders(self, rows: list[CharadesVideo],
                       files: VideoFiles) -> list[dict]:
        prefix = self.data_prefix['img']

        def look(row: CharadesVideo) -> dict:
            folder = osp.join(prefix, row.video_id)
            num = count_frame_images(folder, self._frame_names(row.video_id),
                                     self.start_index,
                                     round(row.length * self.fps))
            return dict(
                video_id=row.video_id,
                frame_dir=folder,
                num_frames=num,
                fps=float(self.fps))

        videos = in_threads(look, rows)
        empty = [v['frame_dir'] for v in videos if not v['num_frames']]
        first = self.filename_tmpl.replace('{video_id}', 'ID').format(
            self.start_index)
        return leave_out(
            empty, [v for v in videos if v['num_frames']], self.missing_video,
            FileNotFoundError,
            f'{len(empty)} of {len(videos)} frame folders of '
            f'{self.ann_file!r} are not there or have no frame {first!r}: '
            f'{first_names(empty)}', f'check {files.prefix}, filename_tmpl '
            'and start_index, or leave the videos out by '
            "missing_video='skip'")

    # -- samples ------------------------------------------------------------

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """What the pipeline gets for a video.

        Args:
            idx (int): Number of the sample.

        Returns:
            dict: The keys that the class describes.
        """
        idx = range(len(self))[idx]
        video = self.get_video_info(int(self._clip_video[idx]))
        # As MMAction2's heads and losses want it; not an array, which
        # PackActionInputs would make integers of.
        label = torch.zeros(self.num_classes)
        label[video['actions']] = 1
        info = {
            **self.sample_info(idx),
            'label': label,
            'actions': video['actions'],
            'action_times': video['action_times'],
            'total_frames': video['num_frames'],
            'fps': video['fps'],
            'avg_fps': video['fps'],
        }
        if self.use_frames:
            info.update(
                frame_dir=video['frame_dir'],
                filename_tmpl=self._frame_names(video['video_id']))
        else:
            info.update(video_source(video))
        return info
