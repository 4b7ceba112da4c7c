# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What all data sets share: samples that are places in videos."""
import copy
import os.path as osp
from collections.abc import Iterable, Mapping, Sequence
from typing import Callable, Optional, Union

import numpy as np
from mmengine.dataset import BaseDataset, force_full_init
from mmengine.utils import is_abs

from ..messages import check_choice, log, tool
from .fetch import FetchingDataset
from .source import SOURCE_KEYS, Source

BUILD_INDEX = tool('data/build_video_index.py')


class StreamDataset(FetchingDataset):
    """Base of data sets whose samples are places in videos, in order.

    A sample is a clip, a keyframe or a video; ``(video_id, position)`` tells
    which, so that ``StreamBatchSampler`` and the memory bank can follow the
    video. The data list of MMEngine holds videos; of samples there are only
    arrays of numbers, which data loader workers share.

    A data set consists of a reader, :meth:`load_videos`; a grid of places,
    :meth:`plan_samples`; and a rule for labels, :meth:`sample_keys`. Samples
    hold these keys beside those of :meth:`sample_keys`:

    - ``filename`` of the video (with ``frame_table``, if it was scanned), or
      ``frame_dir`` and ``filename_tmpl``,
    - ``video_id`` (str), ``timestamp`` (int): the video, and the position
      there; data sets for models with memory add ``start_seconds`` (float),
      when the clip begins,
    - ``total_frames`` (int), ``fps`` and ``avg_fps`` (float): of the video,
    - ``modality``, ``start_index`` (0 for video files), ``sample_idx``,
      ``aug_seed`` (ints) and ``epoch``: an int, or None in training where
      nobody tells it and no :attr:`batch_sampler` is needed.

    A sample that cannot be read in training is reported once for its video
    and another one takes its place; in test mode it is an error. See
    :class:`FetchingDataset` for that and for what random draws depend on.

    Args:
        ann_file (str): Path of the annotations. Relative paths of files start
            from ``data_root``, where that is given.
        pipeline (list[dict | Callable]): The transforms.
        data_prefix (dict, optional): ``video``: folder of the videos; or, in
            data sets that take them, ``img``: folder of the frame folders.
            Defaults to None, which is ``dict(video='')``.
        index_file (str, optional): Frame counts of the videos, written by
            tools/data/build_video_index.py. Defaults to None: the videos are
            read through at the start, every time.
        missing_video (str): What to do with videos that are not there or, by
            the index, cannot be read: ``'error'``, ``'skip'`` (leave them
            out, with a warning) or ``'unchecked'`` (do not look for them; a
            missing one fails when it is read). Defaults to ``'error'``.
        seed (int): Seed of replacement samples, of what transforms draw in
            training and of ``PerVideoAugment``. Defaults to 0.
        test_mode (bool): Whether videos that fail are an error. Defaults to
            False.
        max_refetch (int): In training, how many replacements in a row may
            fail before it is an error. Defaults to 20.
        **kwargs: Further arguments of MMAction2's ``BaseActionDataset``.

    Raises:
        FileNotFoundError: If files or videos do not exist.
        ValueError: If an argument or an annotation is out of range, or files
            do not fit each other.
    """

    #: What the log says beside the size of the data set; plan_samples sets it.
    summary: str = ''

    def __init__(self,
                 ann_file: str,
                 pipeline: list[Union[dict, Callable]],
                 data_prefix: Optional[dict] = None,
                 index_file: Optional[str] = None,
                 missing_video: str = 'error',
                 seed: int = 0,
                 test_mode: bool = False,
                 max_refetch: int = 20,
                 **kwargs) -> None:
        check_choice('missing_video', missing_video,
                     ('error', 'skip', 'unchecked'))
        prefix = data_prefix or {'video': ''}
        prefix = {k: v or '' for k, v in prefix.items()}
        if set(prefix) not in ({'video'}, {'img'}):
            raise ValueError(f'data_prefix={prefix} must be dict(video=...), '
                             'for video files, or dict(img=...), for frame '
                             'folders')
        self.use_frames = 'img' in prefix
        self.index_file = index_file
        self.missing_video = missing_video
        super().__init__(
            ann_file,
            pipeline=pipeline,
            data_prefix=prefix,
            seed=seed,
            test_mode=test_mode,
            max_refetch=max_refetch,
            **kwargs)

    # -- for subclasses -----------------------------------------------------

    def load_videos(self) -> list[dict]:
        """Reads the annotations and finds the videos.

        They have ``video_id``, ``num_frames``, ``fps`` and where the pictures
        are, as :meth:`source` gives them, with what else is to be known.
        """
        raise NotImplementedError(
            f'{type(self).__name__} must define load_videos()')

    def plan_samples(self, videos: list[dict]) -> dict[str, np.ndarray]:
        """Chooses the samples; by default every video is one.

        The result are arrays with one entry a sample: ``video``, its number
        in ``videos``, ``position``, and any others.
        """
        return dict(
            video=np.arange(len(videos), dtype=np.int32),
            position=np.zeros(len(videos), np.int32))

    def sample_keys(self, idx: int, video: dict) -> dict:
        """Label, frames and the like of sample ``idx``, which is of a video.

        The pipeline gets them beside the common keys.
        """
        return {}

    def build_command(self) -> str:
        """How to write the index, for error messages."""
        return (f'run "{BUILD_INDEX} --data-root '
                f"{self.data_prefix.get('video') or '.'} --out "
                f'{self.index_file or "INDEX.json"}"')

    def source(self) -> Source:
        """What finds the videos and counts their frames."""
        return Source(self.ann_file, self.data_prefix, self.missing_video,
                      self.index_file, self.build_command())

    # -- loading ------------------------------------------------------------

    def _join_prefix(self) -> None:
        super()._join_prefix()
        self.index_file = self._join_root(self.index_file)

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
        self._set_videos([v['video_id'] for v in videos], self._state.seed)
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
        # BaseDataset would apply the indices to its data list, which holds
        # videos here.
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
        return self.sample_info(range(len(self))[idx])

    def sample_info(self, idx: int) -> dict:
        """As :meth:`get_data_info`, for a number that is not negative."""
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
            **self.sample_keys(idx, video),
        }

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
        """Keeps the samples of some numbers only.

        An int says how many of the first (of the last, if negative).
        """
        if isinstance(indices, int):
            keep = slice(indices) if indices >= 0 else slice(indices, None)
        else:
            keep = np.asarray(indices, dtype=np.int64)
        self.samples = {k: x[keep] for k, x in self.samples.items()}

    @force_full_init
    def get_subset(self, indices: Union[Sequence[int],
                                        int]) -> 'StreamDataset':
        """A copy with some of the samples only, see :meth:`get_subset_`."""
        subset = copy.deepcopy(self)
        subset.get_subset_(indices)
        return subset


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
        """Finds videos by name, see :meth:`StreamDataset.load_videos`.

        ``guesses`` are expected numbers of frames in folders, by name.
        """
        places = {name: self.places(name) for name in names}
        if self.use_frames:
            return self.source().folders(places, self.fps, self.filename_tmpl,
                                         self.start_index, guesses)
        return self.source().named(places, self.is_anywhere)

    def places(self, name: str) -> list[str]:
        """Where a video may be: paths from ``data_prefix``."""
        return [name]
