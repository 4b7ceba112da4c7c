# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Videos that stand in a list, by their paths."""
import os.path as osp
from typing import Callable, Optional, Union

import torch

from ..annotations.video_list import read_video_list
from ..messages import check_number
from ..video.index import is_video
from .source import Source
from .stream import BUILD_INDEX, StreamDataset


class ListedVideoDataset(StreamDataset):
    """Base of data sets whose videos stand in a list, by their paths.

    Samples have a ``label``: an int, -1 for "not annotated"; with
    ``multi_class`` a float Tensor of shape (num_classes,), all -1 then.

    Args:
        ann_file (str): Path of the list, see :func:`read_video_list`.
        pipeline (list[dict | Callable]): The transforms.
        ann_format (str): ``'video'``, a line ``path label`` a video (with
            ``multi_class`` ``path label label ...``), or ``'segments'``, a
            line ``path start end label`` (seconds) a labelled segment.
            Defaults to ``'video'``.
        delimiter (str): What stands between the fields of the list; ``' '``
            means any white space. Defaults to ``' '``.
        num_classes (int, optional): Number of classes; labels must be below
            it. Defaults to None: the number of ``classes`` in ``metainfo``
            if there are any, else labels are not checked.
        multi_class (bool): Whether a sample may have several labels, which
            needs ``num_classes``. Defaults to False.
        fps (float, optional): Of frame folders, and of features, one a
            frame, in files that do not tell their rate. Defaults to None.
        filename_tmpl (str): Names of frames in folders. Defaults to
            ``'img_{:05}.jpg'``.
        start_index (int): Number of the first frame in folders. Defaults to
            1.
        **kwargs: Further arguments of :class:`StreamDataset`; paths of the
            list start from ``data_prefix['video']``, or, without the suffix
            of a video, from ``data_prefix['feature']`` or, of frame folders,
            ``data_prefix['img']``.
    """

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 ann_format: str = 'video', delimiter: str = ' ',
                 fps: Optional[float] = None,
                 filename_tmpl: str = 'img_{:05}.jpg', start_index: int = 1,
                 **kwargs) -> None:
        self.ann_format = ann_format
        self.delimiter = delimiter
        self.fps = fps
        self.filename_tmpl = filename_tmpl
        in_folders = 'img' in (kwargs.get('data_prefix') or ())
        if in_folders:
            check_number('fps', fps)
        super().__init__(ann_file, pipeline=pipeline,
                         start_index=start_index if in_folders else 0,
                         **kwargs)

    def load_videos(self) -> list[dict]:
        """Reads the list and looks for the videos."""
        rows = self.read_rows()
        if self.use_features:
            videos = Source.of(self).features(
                {path: [path] for path in rows}, self.fps,
                self.rows_are_frames)
        elif self.use_frames:
            videos = Source.of(self).folders(
                {x: [osp.splitext(x)[0] if is_video(x) else x] for x in rows},
                self.fps, self.filename_tmpl, self.start_index)
        else:
            videos = self.find_files(list(rows))
        return [{**video, **rows[video['video_id']]} for video in videos]

    def read_rows(self) -> dict[str, dict]:
        """What the list says of videos, by path."""
        classes = self._metainfo.get('classes')
        if self.num_classes is None and classes is not None:
            self.num_classes = len(classes)
        if self.multi_class and self.num_classes is None:
            raise ValueError('multi_class=True needs num_classes, which is '
                             'None. Remedy: set num_classes in the config')
        return {
            row.pop('path'): row
            for row in read_video_list(
                self.ann_file, ann_format=self.ann_format,
                delimiter=self.delimiter, multi_class=self.multi_class,
                num_classes=self.num_classes, need_label=self.needs_label())}

    def find_files(self, paths: list[str]) -> list[dict]:
        """The video files of the list."""
        return Source.of(self).listed(paths)

    def needs_label(self) -> bool:
        """Whether every video of the list must have a label."""
        return not self.test_mode

    def build_command(self) -> str:
        """How to write the index, for error messages."""
        command = (f'run "{BUILD_INDEX} {self.ann_file} --data-root '
                   f"{self.data_prefix.get('video') or '.'} --out "
                   f'{self.index_file or "INDEX.json"}')
        if self.ann_format != 'video':
            command += f' --ann-format {self.ann_format}'
        if self.delimiter != ' ':
            command += f' --delimiter {self.delimiter!r}'
        return command + '"'

    def label_of(self, label: Union[int, list[int]]
                 ) -> Union[int, torch.Tensor]:
        """A label as the class describes it."""
        if not self.multi_class:
            return label
        if not label:
            return torch.full((self.num_classes, ), -1.)
        return torch.zeros(self.num_classes).index_fill_(
            0, torch.tensor(label), 1.)
