# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Base of data sets whose annotations name videos without their suffix."""
from collections.abc import Iterable, Mapping
from typing import Callable, Optional, Union

from .stream import StreamDataset


class NamedVideoDataset(StreamDataset):
    """Videos that are found by name, as files or as folders of frames.

    Args:
        ann_file (str): Path of the annotations.
        pipeline (list[dict | Callable]): The transforms.
        data_prefix (dict, optional): ``video``: folder of the videos, which
            are found whatever their suffix; or ``img``: folder of the frame
            folders. Defaults to None, which is ``dict(video='')``.
        fps (float, optional): Rate of frames in folders; that of videos is
            known. Defaults to None: :attr:`frame_fps`.
        filename_tmpl (str, optional): Names of frames in folders;
            ``{video_id}`` is the video's name. Defaults to None:
            :attr:`frame_name`.
        start_index (int): Number of the first frame in folders. Defaults to
            1.
        **kwargs: Further arguments of :class:`StreamDataset`. Its
            ``index_file`` may also hold the frame counts of folders;
            ``missing_video='unchecked'`` believes it, and video files need
            it then, as it tells where they are.
    """

    #: Rate of frames in folders.
    frame_fps: float = 30.
    #: Names of frames in folders.
    frame_name: str = 'img_{:05}.jpg'
    #: Whether a video file may be in any folder under the given one.
    is_anywhere: bool = False

    def __init__(self,
                 ann_file: str,
                 pipeline: list[Union[dict, Callable]],
                 data_prefix: Optional[dict] = None,
                 index_file: Optional[str] = None,
                 missing_video: str = 'error',
                 fps: Optional[float] = None,
                 filename_tmpl: Optional[str] = None,
                 start_index: int = 1,
                 **kwargs) -> None:
        self.fps = self.frame_fps if fps is None else fps
        if not self.fps > 0:
            raise ValueError(f'fps={fps} must be above 0')
        self.filename_tmpl = filename_tmpl or self.frame_name
        frames = 'img' in (data_prefix or {})
        if missing_video == 'unchecked' and not (index_file or frames):
            raise ValueError("missing_video='unchecked' needs an index_file, "
                             'which tells where the videos are')
        super().__init__(
            ann_file,
            pipeline=pipeline,
            data_prefix=data_prefix,
            index_file=index_file,
            missing_video=missing_video,
            start_index=start_index if frames else 0,
            **kwargs)

    def find_videos(self,
                    names: Iterable[str],
                    guesses: Optional[Mapping[str, int]] = None
                    ) -> list[dict]:
        """Finds videos by name.

        Args:
            names (Iterable[str]): Their names.
            guesses (Mapping[str, int], optional): Expected frames of folders.
                Defaults to None.

        Returns:
            list[dict]: See :meth:`StreamDataset.load_videos`.
        """
        places = {name: self.places(name) for name in names}
        if self.use_frames:
            return self.source().folders(places, self.fps, self.filename_tmpl,
                                         self.start_index, guesses)
        return self.source().named(places, self.is_anywhere)

    def places(self, name: str) -> list[str]:
        """Where a video may be: paths from ``data_prefix``."""
        return [name]
