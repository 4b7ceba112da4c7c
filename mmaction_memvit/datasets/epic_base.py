# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What the data sets of EPIC-KITCHENS-100 share: segments and videos."""
import logging
import os.path as osp
from collections.abc import Sequence
from typing import Callable, Optional, Union

import numpy as np
from mmengine.fileio import isdir
from mmengine.logging import print_log

from mmaction_memvit.annotations.epic import (
    NUM_NOUNS,
    NUM_VERBS,
    read_epic_segments,
)
from mmaction_memvit.annotations.epic_lists import (
    EpicVideo,
    load_epic_actions,
    read_epic_video_info,
)
from mmaction_memvit.annotations.epic_segments import EpicSegments

from ..video.find import count_frame_images
from ..video.index import first_names, in_threads
from .source_options import (
    check_choice,
    check_command,
    check_no_index,
    video_or_frames,
)
from .stream_dataset import StreamDataset
from .video_files import VideoFiles, leave_out, video_source

CHECK_EPIC = 'python tools/data/epic100/check_epic.py'
#: Places of the files of a video under the folder of all videos.
PLACES = {
    'video': ('{video}', '{participant}/{video}',
              '{participant}/videos/{video}'),
    'img': ('{video}', '{participant}/{video}',
            '{participant}/rgb_frames/{video}'),
}
# Rates at which the frames that can be downloaded were extracted, whatever
# the exact rate of the video.
_NOMINAL_RATES = (60., 50.)
# Seconds by which a file may differ from the video list.
_SAME_LENGTH = 0.5


class EpicVideoDataset(StreamDataset):
    """Base of the data sets of EPIC-KITCHENS-100.

    Reads the lists of segments as they are published, and finds the videos,
    or the folders of their frames, in any of the places where downloads put
    them: directly in the given folder, in that of the participant
    (``P01/P01_01.MP4``) or as published (``P01/videos/P01_01.MP4``,
    ``P01/rgb_frames/P01_01/frame_0000000001.jpg``).

    Relative paths of files start from ``data_root``, where that is given.

    Args:
        ann_file (str): List of segments: ``EPIC_100_train.csv`` or the like,
            or one without header in frames at 30 a second, see
            :func:`read_epic_segments`.
        pipeline (list[dict | Callable]): The transforms.
        data_prefix (dict, optional): ``video``: folder of the videos; or
            ``img``: folder of the frame folders. Defaults to None, which is
            ``dict(video='')``.
        index_file (str, optional): Frame counts of the videos, written by
            tools/data/epic100/check_epic.py. Defaults to None: videos are
            read through at the start, every time.
        video_info_file (str, optional): ``EPIC_100_video_info.csv``.
            Segments of videos that it does not list are an error (see
            ``ann_options``), files whose length is not the listed one a
            warning. Defaults to None.
        actions (str | Sequence[str], optional): ``actions.csv``, or the
            lists of training and validation segments: numbers the actions,
            that is, pairs of verb and noun. Defaults to None: all actions
            are -1.
        num_verbs (int): Number of verb classes. Defaults to 97.
        num_nouns (int): Number of noun classes. Defaults to 300.
        ann_options (dict, optional): Further options of
            :func:`read_epic_segments`: what to do with segments without
            times, without length, or of unknown videos. Defaults to None.
        frame_fps (float | str): Rate of frames in folders; that of videos is
            known. ``'auto'`` takes, for every video, its own rate, 60 or 50,
            whichever fits the number of frames to the duration in
            ``video_info_file``: the frames that can be downloaded were not
            all extracted at the videos' rates. Defaults to ``'auto'``.
        filename_tmpl (str): Names of frames in folders. Defaults to
            ``'frame_{:010d}.jpg'``.
        start_index (int): Number of the first frame in folders. Defaults to
            1.
        missing_video (str): What to do with videos or folders that are not
            there or cannot be read: ``'error'``, ``'skip'`` (leave them and
            their segments out, with a warning) or ``'unchecked'`` (believe
            ``index_file``, or for folders ``video_info_file``, and do not
            look for them). Defaults to ``'error'``.
        seed (int): Seed of replacement samples, of what transforms draw in
            training and of ``PerVideoAugment``. Defaults to 0.
        test_mode (bool): Whether videos that fail are an error. Defaults to
            False.
        **kwargs: Further arguments of :class:`StreamDataset`.

    Raises:
        FileNotFoundError: If files or videos do not exist.
        ValueError: If an argument is out of range, a list has another form,
            or files do not fit each other.
    """

    def __init__(self,
                 ann_file: str,
                 pipeline: list[Union[dict, Callable]],
                 data_prefix: Optional[dict] = None,
                 index_file: Optional[str] = None,
                 video_info_file: Optional[str] = None,
                 actions: Union[str, Sequence[str], None] = None,
                 num_verbs: int = NUM_VERBS,
                 num_nouns: int = NUM_NOUNS,
                 ann_options: Optional[dict] = None,
                 frame_fps: Union[float, str] = 'auto',
                 filename_tmpl: str = 'frame_{:010d}.jpg',
                 start_index: int = 1,
                 missing_video: str = 'error',
                 seed: int = 0,
                 test_mode: bool = False,
                 **kwargs) -> None:
        prefix, self.use_frames = video_or_frames(data_prefix)
        if self.use_frames:
            self._check_frame_options(frame_fps, index_file, video_info_file,
                                      missing_video)
        elif missing_video == 'unchecked' and index_file is None:
            raise ValueError("missing_video='unchecked' needs an index_file, "
                             'which tells where the videos are')
        self.video_info_file = video_info_file
        self.actions = actions
        self.num_verbs = num_verbs
        self.num_nouns = num_nouns
        self.ann_options = dict(ann_options or {})
        self.frame_fps = frame_fps
        self.filename_tmpl = filename_tmpl
        #: EpicSegments: The segments, of videos that are used.
        self.segments: Optional[EpicSegments] = None
        self._labels = np.zeros((0, 3), np.int64)
        super().__init__(
            ann_file,
            pipeline=pipeline,
            data_prefix=prefix,
            index_file=index_file,
            missing_video=missing_video,
            seed=seed,
            test_mode=test_mode,
            start_index=start_index if self.use_frames else 0,
            **kwargs)

    @staticmethod
    def _check_frame_options(frame_fps: Union[float, str],
                             index_file: Optional[str],
                             video_info_file: Optional[str],
                             missing_video: str) -> None:
        if frame_fps != 'auto' and not (isinstance(frame_fps, (int, float))
                                        and frame_fps > 0):
            raise ValueError(f'frame_fps={frame_fps!r} must be a number above '
                             "0 or 'auto'")
        check_no_index(index_file)
        if video_info_file is None and (frame_fps == 'auto'
                                        or missing_video == 'unchecked'):
            raise ValueError(
                f'frame folders with frame_fps={frame_fps!r} and '
                f'missing_video={missing_video!r} need a video_info_file, '
                'EPIC_100_video_info.csv; or set frame_fps to the rate at '
                "which frames were extracted and missing_video to 'error' or "
                "'skip'")
        if frame_fps == 'auto' and missing_video == 'unchecked':
            raise ValueError(
                "missing_video='unchecked' needs frame_fps, as a number: "
                "'auto' counts the frames of folders")

    # -- loading ------------------------------------------------------------

    def _join_prefix(self) -> None:
        super()._join_prefix()
        self.video_info_file = self._join_root(self.video_info_file)
        if isinstance(self.actions, str):
            self.actions = self._join_root(self.actions)
        elif self.actions is not None:
            self.actions = [self._join_root(path) for path in self.actions]

    def build_command(self) -> str:
        """The command that writes the index, for error messages."""
        return check_command(CHECK_EPIC, self.ann_file, self.data_prefix,
                             self.index_file)

    def load_data_list(self) -> list[dict]:
        """Loads the segments, looks for the videos and plans the samples.

        Returns:
            list[dict]: One dict for every video: ``video_id``, ``filename``
            or ``frame_dir``, ``num_frames`` and ``fps``.
        """
        infos = None
        if self.video_info_file is not None:
            infos = read_epic_video_info(self.video_info_file)
        segments = self._read_segments(infos)
        participants = dict(zip(segments.video_ids, segments.participant_ids))
        videos = self._find_videos(participants, infos)
        if not videos:
            raise ValueError(f'no video of {self.ann_file!r} is left. Remedy: '
                             'see the warnings above')
        if infos is not None:
            self._compare(videos, infos)
        there = {v['video_id'] for v in videos}
        kept = np.asarray([v in there for v in segments.video_ids])
        if not kept.all():
            print_log(
                f'{len(kept) - kept.sum()} of {len(kept)} segments are left '
                'out with their videos',
                logger='current',
                level=logging.WARNING)
            segments = segments.select(kept)
        self.segments = segments
        self._labels = np.stack(
            [segments.verbs, segments.nouns, segments.actions], 1)
        self.plan_samples(videos, segments)
        return videos

    def plan_samples(self, videos: list[dict],
                     segments: EpicSegments) -> None:
        """Chooses the samples; a subclass calls :meth:`set_samples` here.

        Args:
            videos (list[dict]): See :meth:`load_data_list`.
            segments (EpicSegments): Their segments.
        """
        raise NotImplementedError(
            f'{type(self).__name__} must define plan_samples()')

    def _read_segments(self, infos: Optional[dict[str, EpicVideo]]
                       ) -> EpicSegments:
        sizes = dict(num_verbs=self.num_verbs, num_nouns=self.num_nouns)
        actions = None
        if self.actions is not None:
            # A list that numbers actions need not be of these videos.
            options = {
                k: v
                for k, v in self.ann_options.items() if k != 'unknown_video'
            }
            actions = load_epic_actions(self.actions, **sizes, **options)
        segments = read_epic_segments(
            self.ann_file,
            actions=actions,
            videos=infos,
            **sizes,
            **self.ann_options)
        if not len(segments):
            raise ValueError(f'{self.ann_file!r} has no segment that can be '
                             'used. Remedy: see the warnings above')
        return segments

    def _find_videos(self, participants: dict[str, str],
                     infos: Optional[dict[str, EpicVideo]]) -> list[dict]:
        videos = [{'video_id': v, 'participant': p}
                  for v, p in participants.items()]
        files = self.video_files(need_times=True)
        if self.use_frames:
            videos = self._count_folders(videos, files, infos)
        else:
            return files.find({
                v['video_id']: _places('video', v)
                for v in videos
            }, self.data_prefix['video'], anywhere=True)
        for video in videos:
            del video['participant']
        return videos

    def _count_folders(self, videos: list[dict], files: VideoFiles,
                       infos: Optional[dict[str, EpicVideo]]) -> list[dict]:
        prefix = self.data_prefix['img']
        first = self.filename_tmpl.format(self.start_index)

        def look(video: dict) -> tuple[str, int]:
            """Folder of the frames of a video, and their number."""
            places = [osp.join(prefix, p) for p in _places('img', video)]
            info = None if infos is None else infos.get(video['video_id'])
            rate = self.frame_fps
            if rate == 'auto':
                rate = info.fps
            guess = round(info.duration * rate) if info else 0
            if self.missing_video == 'unchecked':
                return places[1], guess
            for folder in filter(isdir, places):
                num = count_frame_images(folder, self.filename_tmpl,
                                         self.start_index, guess)
                if num:
                    return folder, num
            return places[1], 0

        for video, (folder, num) in zip(videos, in_threads(look, videos)):
            fps = self.frame_fps
            if fps == 'auto':
                fps = frame_rate(num, infos[video['video_id']])
            video.update(frame_dir=folder, num_frames=num, fps=float(fps))
        empty = [v['frame_dir'] for v in videos if not v['num_frames']]
        return leave_out(
            empty, [v for v in videos if v['num_frames']],
            'skip' if self.missing_video == 'skip' else 'error',
            FileNotFoundError,
            f'{len(empty)} of {len(videos)} frame folders of '
            f'{self.ann_file!r} are not there or have no frame {first!r}: '
            f'{first_names(empty)}', f'check {files.prefix}, filename_tmpl '
            'and start_index, unpack .tar files, or leave the videos out by '
            "missing_video='skip'")

    def _compare(self, videos: list[dict],
                 infos: dict[str, EpicVideo]) -> None:
        """Warns of files that are not as long as the video list says."""
        odd = [
            f"{v['video_id']} ({v['num_frames'] / v['fps']:.2f} s, listed "
            f"{infos[v['video_id']].duration:.2f} s)" for v in videos
            if abs(v['num_frames'] / v['fps'] - infos[v['video_id']].duration)
            > _SAME_LENGTH
        ]
        if odd:
            print_log(
                f'{len(odd)} of {len(videos)} videos do not last as long as '
                f'the video list says: {first_names(odd)}. If they were cut '
                'or slowed down, segments and frames do not belong together',
                logger='current',
                level=logging.WARNING)

    # -- samples ------------------------------------------------------------

    def _source_of(self, video: dict) -> dict:
        """The keys that tell loading transforms where frames are."""
        if self.use_frames:
            return dict(
                frame_dir=video['frame_dir'], filename_tmpl=self.filename_tmpl)
        return video_source(video)


def frame_rate(num_frames: int, info: EpicVideo) -> float:
    """At which rate the frames of a folder were probably extracted.

    Args:
        num_frames (int): Frames in the folder.
        info (EpicVideo): What the video list says.

    Returns:
        float: Rate of the video, 60 or 50, by which the frames last most
        nearly as long as the video.
    """
    return min((info.fps, *_NOMINAL_RATES),
               key=lambda rate: abs(num_frames / rate - info.duration))


def _places(kind: str, video: dict) -> list[str]:
    names = dict(video=video['video_id'], participant=video['participant'])
    return [place.format(**names) for place in PLACES[kind]]


def check_task(task: str, tau_a: float) -> None:
    """Raises a ValueError if task or anticipation time is out of range."""
    check_choice('task', task, ('recognition', 'anticipation'))
    if not (np.isfinite(tau_a) and tau_a >= 0):
        raise ValueError(f'tau_a={tau_a} must be at least 0 seconds')
