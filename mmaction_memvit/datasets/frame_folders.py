# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Folders of frames in place of video files."""
import os.path as osp
from collections.abc import Mapping, Sequence

from mmengine.fileio import exists

from ..messages import warn
from ..video.find import count_frame_images, in_threads
from .source import Source


class FrameFolders(Source, key='img'):
    """Frames as pictures, a folder a video.

    The rate ``fps`` of the data set is theirs where an index has none, and its
    ``filename_tmpl`` names frames by their numbers, from ``start_index``;
    ``{video_id}`` in it is the video's name.
    """

    def find(self, places: Mapping[str, Sequence[str]]) -> list[dict]:
        """The folders, see :class:`Source`."""
        self._index = self.load_index() if self.index_file else {}
        if self.index_file and self.policy != 'skip':
            self.check_known(list(places), self._index)
        videos = in_threads(lambda x: self._look(*x), list(places.items()))
        template, first = self.dataset.filename_tmpl, self.dataset.start_index
        frame = template.replace('{video_id}', 'ID').format(first)
        fewer = ' or fewer frames than index_file says' * bool(self.index_file)
        return self.keep(
            videos, ['' if v['num_frames'] else v['frame_dir']
                     for v in videos],
            f'have no frame folder with a frame {frame!r}{fewer}',
            f'check {self.where}, filename_tmpl and start_index, unpack .tar '
            'files')

    def _look(self, name: str, paths: Sequence[str]) -> dict:
        entry = self._index.get(name, {})
        template = self.dataset.filename_tmpl.replace('{video_id}', name)
        paths = [osp.join(self.dataset.data_prefix['img'], p) for p in paths]
        counts = ((path, self._count(path, template,
                                     entry.get('num_frames', 0)))
                  for path in paths)
        path, num = next((x for x in counts if x[1]), (paths[0], 0))
        return dict(video_id=name, frame_dir=path, num_frames=num,
                    filename_tmpl=template,
                    fps=float(entry.get('fps') or self.dataset.fps))

    def _count(self, path: str, template: str, num: int) -> int:
        """Frames of a folder, ``num`` by the index."""
        first = self.dataset.start_index
        if self.policy == 'unchecked':
            return num
        if not self.index_file:
            try:
                return count_frame_images(path, template, first)
            except ValueError as e:
                if self.policy != 'skip':
                    raise
                warn(str(e))
                return 0
        last = osp.join(path, template.format(first + num - 1))
        return num if num and exists(last) else 0
