# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What datasets over lists of video files share."""
import os.path as osp
from typing import Callable, Optional, Union

import torch

from mmaction_memvit.annotations.video_list import read_video_list

from .stream_dataset import StreamDataset

BUILD_INDEX = 'python tools/data/build_video_index.py'


class ListedVideoDataset(StreamDataset):
    """Base of datasets whose videos stand in a list.

    Args:
        ann_file (str): Path of the list.
        pipeline (list[dict | Callable]): The transforms.
        data_prefix (dict): ``video``: the folder that paths of the list start
            from. Defaults to ``dict(video='')``.
        ann_format (str): See :func:`read_video_list`. Defaults to
            ``'video'``.
        delimiter (str): What stands between the fields of the list; ``' '``
            means any white space. Defaults to ``' '``.
        **kwargs: Further arguments of :class:`StreamDataset`.
    """

    def __init__(self,
                 ann_file: str,
                 pipeline: list[Union[dict, Callable]],
                 data_prefix: Optional[dict] = None,
                 ann_format: str = 'video',
                 delimiter: str = ' ',
                 **kwargs) -> None:
        self.ann_format = ann_format
        self.delimiter = delimiter
        super().__init__(
            ann_file,
            pipeline=pipeline,
            data_prefix={'video': '', **(data_prefix or {})},
            **kwargs)

    def list_videos(self) -> list[dict]:
        """Reads the list and looks for the videos.

        Returns:
            list[dict]: One dict for every video that is used: ``video_id``,
            ``filename``, ``label``, ``num_frames``, ``fps`` and, with
            segments, ``segments``.

        Raises:
            FileNotFoundError: If the list, the index or videos do not exist.
            ValueError: If a line of the list is out of range, or the index
                does not fit.
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
        files = self.video_files(need_times=self.ann_format == 'segments')
        return files.add_frame_counts(files.keep_existing(videos))

    def check_any_left(self, videos: list[dict]) -> None:
        """Raises a ValueError if no video is left."""
        if not videos:
            raise ValueError(f'no video of {self.ann_file!r} is left. Remedy: '
                             'see the warnings above')

    def build_command(self) -> str:
        """The command that writes the index, for error messages."""
        command = (f'run "{BUILD_INDEX} {self.ann_file} --data-root '
                   f"{self.data_prefix['video'] or '.'} --out "
                   f'{self.index_file or "INDEX.json"}')
        if self.ann_format != 'video':
            command += f' --ann-format {self.ann_format}'
        if self.delimiter != ' ':
            command += f' --delimiter {self.delimiter!r}'
        return command + '"'

    def multi_hot(self, labels: list[int]) -> torch.Tensor:
        """Several labels as a vector.

        Args:
            labels (list[int]): The labels.

        Returns:
            torch.Tensor: float, of shape (num_classes,); all -1 if there are
            none, that is, not annotated.
        """
        if not labels:
            return torch.full((self.num_classes, ), -1.)
        return torch.zeros(self.num_classes).index_fill_(
            0, torch.tensor(labels), 1.)
