# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Keyframes of long videos with boxes, as in AVA."""
import logging
import os.path as osp
from collections.abc import Sequence
from typing import Callable, Optional, Union

import numpy as np
from mmaction.registry import DATASETS
from mmengine.dataset import force_full_init
from mmengine.fileio import exists
from mmengine.logging import print_log

from mmaction_memvit.annotations.ava import (
    AVABoxes,
    read_ava_boxes,
    read_exclusions,
)
from mmaction_memvit.annotations.ava_rows import image_key
from mmaction_memvit.annotations.label_map import read_label_map
from mmaction_memvit.annotations.proposals import (
    Proposals,
    count_matches,
    pick_proposals,
    read_proposals,
)

from ..video.find import count_frame_images
from ..video.index import first_names, in_threads, load_video_index
from .source_options import check_choice, video_or_frames
from .stream_dataset import StreamDataset
from .video_files import VideoFiles, leave_out, video_source

PREPARE_AVA = 'python tools/data/ava/prepare_ava.py'


@DATASETS.register_module()
class OnlineAVADataset(StreamDataset):
    """Keyframes of videos with boxes and actions, for models with memory.

    Reads AVA and everything of its form, of any length and frame rate, from
    video files without extracting frames, or from MMAction2's frame folders.
    A sample is a keyframe and tells which (``video_id``, ``timestamp``), so
    that ``StreamBatchSampler`` and the memory bank can follow the video.

    A timestamp counts ``1 / keyframe_rate`` seconds; ``timestamp_start`` is
    that of the first frame of file or folder. Keyframe t shows frame
    ``round((t - timestamp_start) / keyframe_rate * fps)``, from 0:

    ======================  ===============  =============
    data                    timestamp_start  keyframe_rate
    ======================  ===============  =============
    AVA, whole films        0                1
    AVA, 15-minute cuts     900              1
    MultiSports (frames)    1                ``'frames'``
    ======================  ===============  =============

    Samples hold these keys, what :class:`SampleKeyframeClip` and then
    ``LoadVideoClip`` or ``RawFrameDecode`` need:

    - ``video_id`` (str), ``timestamp`` (int): as in the annotations,
    - ``img_key`` (str): both, as ``'1j20qq1JyX4,0902'``,
    - ``filename`` of the video, or ``frame_dir`` and ``filename_tmpl``,
    - ``center_frame`` (int): frame of the keyframe, from 0,
    - ``total_frames`` (int), ``fps`` (float): of the file,
    - ``gt_bboxes`` (np.ndarray): float32 of shape (N, 4), shares of the
      image; N may be 0,
    - ``gt_labels`` (np.ndarray): float32 of shape (N, num_classes), ones for
      the actions of a box; column 0 is not used,
    - ``entity_ids`` (np.ndarray): int64 of shape (N,), numbers of persons,
      -1 where there are none,
    - ``proposals`` (np.ndarray): float32 of shape (P, 4), shares of the image,
      and ``scores`` of shape (P,), if ``proposal_file`` is given or in test
      mode, which without one takes the ground-truth boxes,
    - ``orig_proposals`` (np.ndarray): a copy of ``proposals`` that no
      geometric transform touches,
    - ``modality``, ``start_index`` (0 for videos), ``sample_idx``,
      ``epoch``, ``aug_seed``.

    Other than in MMAction2's ``AVADataset``: a keyframe that the proposal
    file does not know has no proposals, where that one takes the whole
    image; ``timestamp_start`` and ``timestamp_end`` are not 900 and 1800
    unless they are set; keyframes are ordered by video and time.

    Keyframes of ``exclude_file`` are never used. A video that cannot be read
    in training is reported once and another sample takes its place, see
    :class:`StreamDataset`. Relative paths of files start from ``data_root``,
    where that is given.

    Args:
        ann_file (str): CSV file ``video,timestamp,x1,y1,x2,y2,action
            [,person]``; rows without box are keyframes without box.
        pipeline (list[dict | Callable]): The transforms.
        exclude_file (str, optional): CSV file ``video,timestamp`` of
            keyframes not to use. Defaults to None.
        label_file (str, optional): Label map in either of AVA's .pbtxt
            forms. Gives the names of classes in ``metainfo`` and checks
            ``custom_classes``. Defaults to None.
        proposal_file (str, optional): Pickle file of person boxes, see
            :func:`read_proposals`. Defaults to None.
        data_prefix (dict): ``video``: folder of the videos, which are found
            whatever their suffix; or ``img``: folder of the frame folders.
            Defaults to ``dict(video='')``.
        num_classes (int): One more than the greatest class. Defaults to 81.
        custom_classes (Sequence[int], optional): Classes to use, which
            become classes 1, 2, ...; needs ``num_classes =
            len(custom_classes) + 1``. Boxes without any of them are left
            out, and keyframes without such boxes. Defaults to None.
        person_det_score_thr (float): Least score of proposals. Defaults to
            0.9.
        keep_best (bool): Whether a keyframe keeps its best proposal where
            none reaches the score, as in MMAction2. Defaults to True.
        num_max_proposals (int): Most proposals of a keyframe, the first in
            the file. Defaults to 1000.
        keyframes (str): Which keyframes are samples: ``'annotated'``, those
            of ``ann_file``; ``'proposals'``, these and those with a proposal
            that reaches ``person_det_score_thr``; or ``'all'``, every
            timestamp in ``keyframe_range``. The further ones have no ground
            truth: in training, they feed the memory, and proposals there
            count as persons without action. Only videos of ``ann_file`` are
            used. Defaults to ``'annotated'``.
        keyframe_range (Sequence[int], optional): First and last timestamp
            that ``'all'`` and ``'proposals'`` add. Defaults to None: as far
            as the video goes.
        timestamp_start (int): Timestamp of the first frame. Defaults to 0.
        timestamp_end (int, optional): Greatest timestamp. Defaults to None:
            no limit.
        keyframe_rate (float | str): Timestamps per second; ``'frames'`` if
            timestamps are numbers of frames. Defaults to 1.
        fps (float): Frame rate of frame folders; that of videos is known.
            Defaults to 30.
        filename_tmpl (str): Names of frames in folders. Defaults to
            ``'img_{:05}.jpg'``.
        start_index (int): Number of the first frame in folders. Defaults to
            1.
        index_file (str, optional): Frame counts, written by
            tools/data/ava/prepare_ava.py. Defaults to None: videos are read
            through at the start, and frames of folders looked for.
        missing_video (str): What to do with videos or folders that are not
            there or cannot be read: ``'error'``, ``'skip'`` (leave them out,
            with a warning) or ``'unchecked'`` (do not look for them: believe
            ``index_file``, which videos then need; frame folders last as it
            says, or until ``timestamp_end``). Defaults to ``'error'``.
        outside_video (str): What to do with keyframes after the end of
            their video: ``'error'`` or ``'skip'`` (leave them out, with a
            warning). Defaults to ``'error'``.
        bad_rows (str): What to do with bad rows of ``ann_file``, see
            :func:`read_ava_boxes`: ``'error'`` or ``'skip'``. Defaults to
            ``'error'``.
        seed (int): Seed of replacement samples, of what transforms draw in
            training and of ``PerVideoAugment``. Defaults to 0.
        test_mode (bool): Whether videos that fail are an error. Defaults to
            False.
        **kwargs: Further arguments of :class:`StreamDataset`.

    Raises:
        FileNotFoundError: If files or videos do not exist.
        ValueError: If an argument or a row is out of range, or files do not
            fit each other.
    """

    sample_arrays = (*StreamDataset.sample_arrays, '_sample_boxes',
                     '_sample_proposals', '_sample_center')

    def __init__(self,
                 ann_file: str,
                 pipeline: list[Union[dict, Callable]],
                 exclude_file: Optional[str] = None,
                 label_file: Optional[str] = None,
                 proposal_file: Optional[str] = None,
                 data_prefix: Optional[dict] = None,
                 num_classes: int = 81,
                 custom_classes: Optional[Sequence[int]] = None,
                 person_det_score_thr: float = 0.9,
                 keep_best: bool = True,
                 num_max_proposals: int = 1000,
                 keyframes: str = 'annotated',
                 keyframe_range: Optional[Sequence[int]] = None,
                 timestamp_start: int = 0,
                 timestamp_end: Optional[int] = None,
                 keyframe_rate: Union[float, str] = 1,
                 fps: float = 30.,
                 filename_tmpl: str = 'img_{:05}.jpg',
                 start_index: int = 1,
                 index_file: Optional[str] = None,
                 missing_video: str = 'error',
                 outside_video: str = 'error',
                 bad_rows: str = 'error',
                 seed: int = 0,
                 test_mode: bool = False,
                 **kwargs) -> None:
        check_choice('keyframes', keyframes, ('annotated', 'proposals', 'all'))
        check_choice('outside_video', outside_video, ('error', 'skip'))
        check_choice('bad_rows', bad_rows, ('error', 'skip'))
        if keyframes == 'proposals' and proposal_file is None:
            raise ValueError(
                "keyframes='proposals' needs a proposal_file, which is None. "
                'Remedy: make one by tools/data/ava/make_ava_style.py or '
                "convert_person_boxes.py, or set keyframes='annotated'")
        if not 0 <= person_det_score_thr <= 1:
            raise ValueError(f'person_det_score_thr={person_det_score_thr} '
                             'must be from 0 to 1')
        if num_max_proposals < 1:
            raise ValueError(f'num_max_proposals={num_max_proposals} must be '
                             'at least 1')
        if num_classes < 2:
            raise ValueError(f'num_classes={num_classes} must be at least 2: '
                             'column 0 is not used')
        if timestamp_end is not None and timestamp_end < timestamp_start:
            raise ValueError(f'timestamp_end={timestamp_end} must not be '
                             f'before timestamp_start={timestamp_start}')
        if keyframe_range is not None and (
                len(keyframe_range) != 2
                or keyframe_range[0] > keyframe_range[1]):
            raise ValueError(f'keyframe_range={keyframe_range} must be first '
                             'and last timestamp')
        if keyframe_rate != 'frames' and not (isinstance(
                keyframe_rate, (int, float)) and keyframe_rate > 0):
            raise ValueError(f'keyframe_rate={keyframe_rate!r} must be a '
                             "number above 0, timestamps per second, or "
                             "'frames'")
        if not fps > 0:
            raise ValueError(f'fps={fps} must be above 0')
        prefix, self.use_frames = video_or_frames(data_prefix)
        if self.use_frames and missing_video == 'unchecked' and (
                index_file is None and timestamp_end is None):
            raise ValueError(
                "missing_video='unchecked' with frame folders needs an "
                'index_file or timestamp_end, which tell the number of frames')
        if not self.use_frames and missing_video == 'unchecked' and (
                index_file is None):
            raise ValueError("missing_video='unchecked' needs an index_file, "
                             'which tells where the videos are')
        self.exclude_file = exclude_file
        self.label_file = label_file
        self.proposal_file = proposal_file
        self.custom_classes = custom_classes
        self.person_det_score_thr = person_det_score_thr
        self.keep_best = keep_best
        self.num_max_proposals = num_max_proposals
        self.keyframes = keyframes
        self.keyframe_range = keyframe_range
        self.timestamp_start = timestamp_start
        self.timestamp_end = timestamp_end
        self.keyframe_rate = keyframe_rate
        self.fps = fps
        self.filename_tmpl = filename_tmpl
        self.outside_video = outside_video
        self.bad_rows = bad_rows
        self._boxes: Optional[AVABoxes] = None
        self._proposals: Optional[Proposals] = None
        super().__init__(
            ann_file,
            pipeline=pipeline,
            data_prefix=prefix,
            index_file=index_file,
            missing_video=missing_video,
            seed=seed,
            test_mode=test_mode,
            num_classes=num_classes,
            start_index=start_index if self.use_frames else 0,
            **kwargs)

    # -- loading ------------------------------------------------------------

    def _join_prefix(self) -> None:
        super()._join_prefix()
        for name in ('exclude_file', 'label_file', 'proposal_file'):
            setattr(self, name, self._join_root(getattr(self, name)))

    def build_command(self) -> str:
        """The command that writes the index, for error messages."""
        if self.use_frames:
            what = (f"--frames {self.data_prefix['img'] or '.'} --fps "
                    f'{self.fps:g}')
        else:
            what = f"--videos {self.data_prefix['video'] or '.'}"
        return (f'run "{PREPARE_AVA} {self.ann_file} {what} --out '
                f'{self.index_file or "INDEX.json"}"')

    def describe_sample(self, info: dict) -> str:
        """The place of a sample in its video, for error messages."""
        return (f"keyframe {info['timestamp']} "
                f'({super().describe_sample(info)})')

    def load_data_list(self) -> list[dict]:
        """Loads the annotations and looks for the videos.

        Returns:
            list[dict]: One dict for every video: ``video_id``, ``filename``
            or ``frame_dir``, ``num_frames`` and ``fps``.
        """
        boxes = self._boxes = self._read_boxes()
        videos = self._find_videos(boxes.videos)
        if not videos:
            raise ValueError(f'no video of {self.ann_file!r} is left. Remedy: '
                             'see the warnings above')
        proposals = None
        if self.proposal_file is not None:
            proposals = read_proposals(self.proposal_file)
        self._plan(videos, boxes, proposals)
        return videos

    def _read_boxes(self) -> AVABoxes:
        custom = self.custom_classes
        top = self.num_classes
        if self.label_file is not None:
            names = read_label_map(self.label_file)
            self._check_labels(names)
            if custom is not None:
                top = max(names) + 1
            # The name of class i stands at i - 1.
            ids = custom or range(1, self.num_classes)
            self._metainfo.setdefault(
                'classes', tuple(names.get(i, f'class {i}') for i in ids))
        elif custom is not None:
            # Nobody says which classes there are.
            top = 2**15
        if custom is not None:
            custom = list(custom)
            if len(set(custom)) < len(custom) or min(custom, default=0) < 1:
                raise ValueError(f'custom_classes={custom} must be different '
                                 'ids from 1 on')
            if self.num_classes != len(custom) + 1:
                raise ValueError(
                    f'num_classes={self.num_classes} must be {len(custom) + 1}'
                    f', one more than the {len(custom)} custom_classes')
        boxes = read_ava_boxes(
            self.ann_file,
            top,
            custom, (self.timestamp_start, self.timestamp_end),
            bad_rows=self.bad_rows)
        if self.label_file is not None and custom is None:
            strange = ~np.isin(boxes.labels, list(names))
            if len(strange) and strange.all():
                raise ValueError(
                    f'no action of {self.ann_file!r} is a class of '
                    f'{self.label_file!r}. Remedy: give files that belong '
                    'together')
            if strange.any():
                print_log(
                    f'{int(strange.sum())} of {len(strange)} labels of '
                    f'{self.ann_file} are of classes that {self.label_file} '
                    'does not list; they are used all the same',
                    logger='current')
        return boxes

    def _check_labels(self, names: dict[int, str]) -> None:
        if self.custom_classes is not None:
            unknown = sorted(set(self.custom_classes) - set(names))
            if unknown:
                raise ValueError(f'custom_classes has {unknown}, which '
                                 f'{self.label_file!r} does not list')
        elif max(names) >= self.num_classes:
            raise ValueError(
                f'{self.label_file!r} has classes up to {max(names)}, but '
                f'num_classes={self.num_classes} allows '
                f'{self.num_classes - 1}. Remedy: set num_classes='
                f'{max(names) + 1}, in the model and the metric too')

    def _find_videos(self, video_ids: list[str]) -> list[dict]:
        files = self.video_files(need_times=self.keyframe_rate != 'frames')
        if self.use_frames:
            return self._count_folders([{'video_id': v} for v in video_ids],
                                       files)
        return files.find({v: [v]
                           for v in video_ids}, self.data_prefix['video'])

    def _count_folders(self, videos: list[dict],
                       files: VideoFiles) -> list[dict]:
        for video in videos:
            video.update(
                frame_dir=osp.join(self.data_prefix['img'],
                                   video['video_id']),
                fps=float(self.fps))
        if self.index_file:
            self._look_up_folders(videos, files)
        else:
            expected = 0
            if self.timestamp_end is not None:
                expected = self._frame_of(self.timestamp_end, self.fps)
            counts = [expected] * len(videos)
            if self.missing_video != 'unchecked':
                counts = in_threads(
                    lambda v: count_frame_images(
                        v['frame_dir'], self.filename_tmpl, self.start_index,
                        expected), videos)
            for video, count in zip(videos, counts):
                video['num_frames'] = count
        empty = [v['frame_dir'] for v in videos if not v['num_frames']]
        return leave_out(
            empty, [v for v in videos if v['num_frames']], 'skip'
            if self.missing_video == 'skip' else 'error', FileNotFoundError,
            f'{len(empty)} of {len(videos)} frame folders of '
            f'{self.ann_file!r} are not there, have no frame '
            f'{self.filename_tmpl.format(self.start_index)!r} or, with an '
            'index_file, fewer frames than it says: '
            f'{first_names(empty)}', f'check {files.prefix}, filename_tmpl '
            'and start_index, or leave them out by '
            "missing_video='skip'")

    def _look_up_folders(self, videos: list[dict], files: VideoFiles) -> None:
        """Frame counts by the index, 0 for folders that are not there."""
        index = load_video_index(self.index_file, files.build_command)
        lacking = [v['video_id'] for v in videos if v['video_id'] not in index]
        if lacking and self.missing_video != 'skip':
            raise ValueError(
                f'index_file {self.index_file!r} lacks {len(lacking)} of '
                f'{len(videos)} frame folders of {self.ann_file!r}: '
                f'{first_names(lacking)}. Remedy: {files.build_command}')
        for video in videos:
            entry = index.get(video['video_id'], {})
            video['num_frames'] = entry.get('num_frames', 0)
            video['fps'] = float(entry.get('fps') or self.fps)
        if self.missing_video == 'unchecked':
            return
        last = [
            osp.join(
                v['frame_dir'],
                self.filename_tmpl.format(self.start_index + v['num_frames'] -
                                          1)) for v in videos
        ]
        for video, there in zip(videos, in_threads(exists, last)):
            if not there:
                video['num_frames'] = 0

    def _frame_of(self, timestamp, fps):
        """Frames from the first one to that of a timestamp."""
        rate = fps if self.keyframe_rate == 'frames' else self.keyframe_rate
        frame = np.rint((timestamp - self.timestamp_start) / rate * fps)
        return frame.astype(np.int64) if np.ndim(frame) else int(frame)

    def _plan(self, videos: list[dict], boxes: AVABoxes,
              found: Optional[dict]) -> None:
        """Chooses the keyframes and finds their boxes and proposals."""
        number = {v['video_id']: i for i, v in enumerate(videos)}
        # Keyframes of videos that were left out are left out with them.
        kept = np.asarray([number.get(v, -1) for v in boxes.videos])
        video = kept[boxes.video]
        rows = np.flatnonzero(video >= 0)
        video, time = video[rows], boxes.timestamp[rows]
        more = self._more_keyframes(videos, number, found)
        video = np.concatenate([video, *(m[0] for m in more)])
        time = np.concatenate([time, *(m[1] for m in more)])
        rows = np.concatenate([rows, np.full(len(time) - len(rows), -1)])
        # Annotated ones come first and so win over equal ones without boxes.
        order = np.lexsort((np.arange(len(time)), time, video))
        video, time, rows = video[order], time[order], rows[order]
        new = np.ones(len(time), dtype=bool)
        new[1:] = (video[1:] != video[:-1]) | (time[1:] != time[:-1])
        video, time, rows = video[new], time[new], rows[new]

        fps = np.asarray([v['fps'] for v in videos])[video]
        length = np.asarray([v['num_frames'] for v in videos])[video]
        center = self._frame_of(time, fps)
        outside = (center < 0) | (center >= length)
        excluded = self._excluded(number, video, time)
        # Those that nobody annotated are no mistake of the annotations.
        self._check_outside(videos, video, time, center,
                            outside & ~excluded & (rows >= 0))
        num_excluded = int((excluded & ~outside).sum())
        keep = ~(outside | excluded)
        if not keep.any():
            raise ValueError(f'no keyframe of {self.ann_file!r} is left: '
                             f'{num_excluded} are excluded by '
                             f'{self.exclude_file!r}, the others are outside '
                             'of their videos')
        video, time, rows = video[keep], time[keep], rows[keep]
        ids = [v['video_id'] for v in videos]
        picks = np.full(len(time), -1)
        if found is not None:
            keys = list(zip((ids[v] for v in video.tolist()), time.tolist()))
            count_matches(found, [k for k, r in zip(keys, rows) if r >= 0]
                        or keys, self.proposal_file, self.ann_file)
            self._proposals = pick_proposals(
                found, keys, self.proposal_file, self.person_det_score_thr,
                self.keep_best, self.num_max_proposals)
            picks = np.arange(len(time))
        self.set_samples(
            ids,
            _clip_video=video.astype(np.int32),
            _clip_position=time.astype(np.int64),
            _sample_boxes=rows.astype(np.int32),
            _sample_proposals=picks.astype(np.int32),
            _sample_center=center[keep].astype(np.int32))
        self._report(videos, num_excluded)
        self._check_length(videos)

    def _more_keyframes(self, videos: list[dict], number: dict[str, int],
                        found: Optional[dict]) -> list[tuple]:
        """Keyframes beside the annotated ones: video and timestamp."""
        low, high = self.keyframe_range or (-np.inf, np.inf)
        low = max(low, self.timestamp_start)
        high = min(high, np.inf
                   if self.timestamp_end is None else self.timestamp_end)
        if self.keyframes == 'annotated':
            return []
        if self.keyframes == 'all':
            times = []
            for video in videos:
                rate = (
                    video['fps']
                    if self.keyframe_rate == 'frames' else self.keyframe_rate)
                # One too many at most: those outside are dropped.
                seconds = video['num_frames'] / video['fps']
                last = min(high, self.timestamp_start + int(seconds * rate))
                times.append(np.arange(low, last + 1, dtype=np.int64))
            return [(np.full(len(t), i), t) for i, t in enumerate(times)]
        keys = [(number[v], t) for (v, t), b in found.items()
                if v in number and low <= t <= high and self._is_good(b)]
        return [tuple(np.asarray(keys, np.int64).reshape(-1, 2).T)]

    def _is_good(self, boxes) -> bool:
        """Whether any of a keyframe's proposals reaches the score."""
        boxes = np.asarray(boxes)
        if boxes.ndim != 2 or boxes.shape[1] != 5:
            # Without score; other forms are refused when boxes are picked.
            return boxes.size > 0
        return bool((boxes[:, 4] >= self.person_det_score_thr).any())

    def _excluded(self, number: dict[str, int], video: np.ndarray,
                  time: np.ndarray) -> np.ndarray:
        excluded = np.zeros(len(time), dtype=bool)
        if self.exclude_file is None:
            return excluded
        keys = [(number[v], t) for v, t in read_exclusions(self.exclude_file)
                if v in number]
        for v, t in keys:
            first = np.searchsorted(video, v)
            last = np.searchsorted(video, v, 'right')
            i = first + np.searchsorted(time[first:last], t)
            if i < last and time[i] == t:
                excluded[i] = True
        return excluded

    def _check_outside(self, videos: list[dict], video: np.ndarray,
                       time: np.ndarray, center: np.ndarray,
                       outside: np.ndarray) -> None:
        if not outside.any():
            return
        i = int(outside.argmax())
        its = videos[video[i]]
        length = np.asarray([v['num_frames'] for v in videos])[video]
        hint = ''
        if self.timestamp_start == 0 and (outside.mean() > 0.5
                                          and self.keyframe_rate == 1):
            fps = np.asarray([v['fps'] for v in videos])[video]
            if ((time - 900) * fps < length).all() and time.min() >= 900:
                hint = ("; these look like AVA's 15-minute cuts, for which "
                        'timestamp_start=900')
        names = [
            image_key(videos[v]['video_id'], t) for v, t in zip(
                video[outside].tolist(), time[outside].tolist())
        ]
        leave_out(
            names, [], self.outside_video, ValueError,
            f'{len(names)} of {len(time)} keyframes of {self.ann_file!r} are '
            f'after the end of their videos: {first_names(names)}; the first '
            f"would be frame {center[i]} of {its['video_id']!r}, which has "
            f"{its['num_frames']} frames, {its['fps']:g} a second", 'check '
            f'timestamp_start={self.timestamp_start} and keyframe_rate='
            f'{self.keyframe_rate!r}{hint}; or leave such keyframes out by '
            "outside_video='skip'")

    def _report(self, videos: list[dict], num_excluded: int) -> None:
        rows = self._sample_boxes[self._sample_boxes >= 0]
        counts = np.diff(self._boxes.first_box)[rows]
        hours = sum(v['num_frames'] / v['fps'] for v in videos) / 3600
        text = (f'{osp.basename(self.ann_file)}: {len(videos)} videos, '
                f'{hours:.4g} h, {len(self._clip_video)} keyframes '
                f"(keyframes='{self.keyframes}'), {len(rows)} of them "
                f'annotated, with {counts.sum()} boxes; {num_excluded} '
                'keyframes excluded')
        for what, num in self._boxes.skipped.items():
            text += f'; {num} {what}'
        if self._proposals is not None:
            num = np.diff(self._proposals.first_box)
            text += (f'; {num.sum()} proposals, none for {(num == 0).sum()} '
                     'keyframes')
        print_log(text, logger='current')
        with_boxes = np.zeros(len(videos), dtype=bool)
        with_boxes[self._clip_video[self._sample_boxes >= 0][counts > 0]] = 1
        without = [
            v['video_id'] for v, x in zip(videos, with_boxes) if not x
        ]
        if without:
            print_log(
                f'{len(without)} of {len(videos)} videos have no annotated '
                f'box: {first_names(without)}',
                logger='current',
                level=logging.INFO if self.test_mode else logging.WARNING)

    def _check_length(self, videos: list[dict]) -> None:
        """Warns of whole films that are taken for cuts of them."""
        if (self.timestamp_start == 0 or self.timestamp_end is None
                or self.keyframe_rate == 'frames'):
            return
        seconds = (self.timestamp_end -
                   self.timestamp_start) / self.keyframe_rate
        long = [
            v['video_id'] for v in videos
            if v['num_frames'] / v['fps'] > 1.5 * seconds
        ]
        if long:
            print_log(
                f'{len(long)} of {len(videos)} videos last much longer than '
                f'from timestamp_start={self.timestamp_start} to '
                f'timestamp_end={self.timestamp_end}: {first_names(long)}. If '
                'they are whole films, set timestamp_start=0; else boxes and '
                'frames do not belong together',
                logger='current',
                level=logging.WARNING)

    # -- samples ------------------------------------------------------------

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """What the pipeline gets for a keyframe.

        Args:
            idx (int): Number of the sample.

        Returns:
            dict: The keys that the class describes.
        """
        return self.keyframe_info(range(len(self))[idx])

    def keyframe_info(self,
                      number: int,
                      timestamp: Optional[int] = None) -> dict:
        """What the pipeline gets for a keyframe, or a moment of its video.

        Args:
            number (int): Number of the keyframe.
            timestamp (int, optional): Of a moment that is no keyframe and
                has no boxes. Defaults to None: the keyframe itself.

        Returns:
            dict: The keys that the class describes.
        """
        video = self.get_video_info(int(self._clip_video[number]))
        info = self.sample_info(number)
        center = int(self._sample_center[number])
        row = int(self._sample_boxes[number])
        pick = int(self._sample_proposals[number])
        if timestamp is not None:
            info['timestamp'] = timestamp
            center = self._frame_of(timestamp, video['fps'])
            row = pick = -1
        info.update(
            img_key=image_key(info['video_id'], info['timestamp']),
            center_frame=center,
            total_frames=video['num_frames'],
            fps=video['fps'],
            **self._truth(row))
        if self.use_frames:
            info.update(
                frame_dir=video['frame_dir'], filename_tmpl=self.filename_tmpl)
        else:
            info.update(video_source(video))
        if self._proposals is not None:
            first, last = (0, 0) if pick < 0 else _span(
                self._proposals.first_box, pick)
            info['proposals'] = self._proposals.boxes[first:last].copy()
            info['scores'] = self._proposals.scores[first:last].copy()
        elif self.test_mode:
            info['proposals'] = info['gt_bboxes'].copy()
            info['scores'] = np.ones(len(info['gt_bboxes']), np.float32)
        if 'proposals' in info:
            info['orig_proposals'] = info['proposals'].copy()
        return info

    def _truth(self, row: int) -> dict:
        table = self._boxes
        first, last = (0, 0) if row < 0 else _span(table.first_box, row)
        labels = np.zeros((last - first, self.num_classes), np.float32)
        for i in range(first, last):
            own = slice(*_span(table.first_label, i))
            labels[i - first, table.labels[own]] = 1
        return dict(
            gt_bboxes=table.boxes[first:last].copy(),
            gt_labels=labels,
            entity_ids=table.persons[first:last].copy())


def _span(starts: np.ndarray, i: int) -> tuple[int, int]:
    """Where entry i begins and where it ends."""
    return int(starts[i]), int(starts[i + 1])
