# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Keyframes of long videos with boxes, as in AVA."""
from collections.abc import Sequence
from typing import Callable, NamedTuple, Optional, Union

import numpy as np
from mmaction.registry import DATASETS

from ..annotations.ava import (
    BoxTable,
    image_key,
    read_ava_boxes,
    read_exclusions,
)
from ..annotations.class_names import choose_classes
from ..annotations.proposals import (
    count_matches,
    describe_misfit,
    pick_proposals,
    read_proposals,
    tell_left_out,
)
from ..messages import check_choice, first_names, log, tool, warn
from .grid import Clock, KeyframeGrid
from .source import NamedVideoDataset, drop

PREPARE_AVA = tool('data/ava/prepare_ava.py')


class Keyframes(NamedTuple):
    """K keyframes of videos.

    Each has the number of its ``video``, ascending, and a timestamp ``time``,
    ascending within a video; ``rows`` are keyframes of the ground truth, -1
    for none.
    """
    video: np.ndarray
    time: np.ndarray
    rows: np.ndarray

    def find(self, video: int, time: int) -> int:
        """Number of a keyframe, -1 if there is none."""
        start, end = np.searchsorted(self.video, (video, video + 1))
        i = start + int(np.searchsorted(self.time[start:end], time))
        return int(i) if i < end and self.time[i] == time else -1


@DATASETS.register_module()
class OnlineAVADataset(NamedVideoDataset):
    """Keyframes of videos with boxes and actions, for models with memory.

    Reads AVA and everything of its form, of any length and frame rate, from
    video files, or from MMAction2's frame folders. A sample is a keyframe.

    A timestamp counts ``1 / keyframe_rate`` seconds; ``timestamp_start`` is
    that of the first frame of file or folder. Keyframe t shows the frame that
    begins nearest to ``(t - timestamp_start) / keyframe_rate`` seconds:

    ======================  ===============  =============
    data                    timestamp_start  keyframe_rate
    ======================  ===============  =============
    AVA, whole films        0                1
    AVA, 15-minute cuts     900              1
    MultiSports (frames)    1                ``'frames'``
    ======================  ===============  =============

    Samples hold, beside the keys of :class:`StreamDataset`, what
    :class:`SampleKeyframeClip` and then ``LoadVideoClip`` or
    ``RawFrameDecode`` need:

    - ``img_key`` (str): video and timestamp, as ``'1j20qq1JyX4,0902'``,
    - ``center_frame`` (int), ``start_seconds`` (float): frame and time of the
      keyframe, from 0,
    - ``gt_bboxes``: float32 (N, 4), shares of the image; N may be 0,
      ``gt_labels``: float32 (N, num_classes), ones for the actions of a box,
      column 0 is not used, and ``entity_ids``: int64 (N,), persons or -1,
    - ``proposals``: float32 (P, 4), shares of the image, and ``scores`` (P,),
      if ``proposal_file`` is given or in test mode, which without one takes
      the ground-truth boxes,
    - ``orig_proposals``: a copy that no geometric transform touches.

    Other than in MMAction2's ``AVADataset`` a keyframe that the proposal file
    does not know has no proposals, not the whole image, and
    ``timestamp_start`` and ``timestamp_end`` are not 900 and 1800.

    Args:
        ann_file (str): CSV file ``video,timestamp,x1,y1,x2,y2,action
            [,person]``; rows without box are keyframes without box.
        pipeline (list[dict | Callable]): The transforms.
        exclude_file (str, optional): CSV file ``video,timestamp`` of
            keyframes that are never used. Defaults to None.
        label_file (str, optional): Label map in either of AVA's .pbtxt
            forms. Gives the names of classes in ``metainfo`` and checks
            ``custom_classes``. Defaults to None.
        proposal_file (str, optional): Pickle file of person boxes, see
            :func:`read_proposals`. Defaults to None.
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
            timestamp in ``keyframe_range``. The further ones, of videos of
            ``ann_file``, have no ground truth: in training, they feed the
            memory, and proposals there count as persons without action.
            Defaults to ``'annotated'``.
        keyframe_range (Sequence[int], optional): First and last timestamp
            that ``'all'`` and ``'proposals'`` add. Defaults to None: as far
            as the video goes.
        timestamp_start (int): Timestamp of the first frame. Defaults to 0.
        timestamp_end (int, optional): Greatest timestamp. Defaults to None:
            no limit.
        keyframe_rate (float | str): Timestamps per second; ``'frames'`` if
            timestamps are numbers of frames. Defaults to 1.
        outside_video (str): What to do with keyframes after the end of
            their video: ``'error'`` or ``'skip'`` (leave them out, with a
            warning). Defaults to ``'error'``.
        bad_rows (str): What to do with bad rows of ``ann_file``, see
            :func:`read_ava_boxes`: ``'error'`` or ``'skip'``. Defaults to
            ``'error'``.
        **kwargs: Further arguments of :class:`NamedVideoDataset` and
            :class:`StreamDataset`.
    """

    sample_kind = 'keyframe'

    def __init__(self, ann_file: str, pipeline: list[Union[dict, Callable]],
                 exclude_file: Optional[str] = None,
                 label_file: Optional[str] = None,
                 proposal_file: Optional[str] = None, num_classes: int = 81,
                 custom_classes: Optional[Sequence[int]] = None,
                 person_det_score_thr: float = 0.9, keep_best: bool = True,
                 num_max_proposals: int = 1000, keyframes: str = 'annotated',
                 keyframe_range: Optional[Sequence[int]] = None,
                 timestamp_start: int = 0, timestamp_end: Optional[int] = None,
                 keyframe_rate: Union[float, str] = 1,
                 outside_video: str = 'error', bad_rows: str = 'error',
                 **kwargs) -> None:
        check_choice('keyframes', keyframes, ('annotated', 'proposals', 'all'))
        check_choice('outside_video', outside_video, ('error', 'skip'))
        if keyframes == 'proposals' and proposal_file is None:
            raise ValueError(
                "keyframes='proposals' needs a proposal_file, which is None. "
                f'Remedy: make one by {tool("data/ava/make_ava_style.py")} or '
                "convert_person_boxes.py, or set keyframes='annotated'")
        self.grid = KeyframeGrid(timestamp_start, timestamp_end, keyframe_rate)
        self.exclude_file = exclude_file
        self.label_file = label_file
        self.proposal_file = proposal_file
        self.custom_classes = custom_classes
        self.person_det_score_thr = person_det_score_thr
        self.keep_best = keep_best
        self.num_max_proposals = num_max_proposals
        self.which = keyframes
        self.keyframe_range = keyframe_range
        self.outside_video = outside_video
        self.bad_rows = bad_rows
        #: Keyframes: All that are used, whatever subset the samples are.
        self.keyframes: Optional[Keyframes] = None
        #: str: How boxes and proposals differ, told before a run.
        self.misfit = ''
        super().__init__(
            ann_file, pipeline=pipeline, num_classes=num_classes, **kwargs)

    def _join_prefix(self) -> None:
        super()._join_prefix()
        for name in ('exclude_file', 'label_file', 'proposal_file'):
            setattr(self, name, self._join_root(getattr(self, name)))

    def build_command(self) -> str:
        """How to write the index, for error messages."""
        if not self.use_frames:
            return super().build_command()
        return (f'run "{PREPARE_AVA} {self.ann_file} --frames '
                f"{self.data_prefix['img'] or '.'} --fps {self.fps:g} --out "
                f'{self.index_file or "INDEX.json"}"')

    def describe_sample(self, info: dict) -> str:
        """The place of a sample in its video, for error messages."""
        return (f"keyframe {info['timestamp']} "
                f'({super().describe_sample(info)})')

    # -- loading ------------------------------------------------------------

    def load_videos(self) -> list[dict]:
        """Reads the boxes and looks for the videos."""
        grid, label_file = self.grid, self.label_file
        chosen = choose_classes(self.num_classes, self.custom_classes,
                                label_file)
        self._boxes = read_ava_boxes(
            self.ann_file, chosen.num_in_file, self.custom_classes,
            (grid.start, grid.end), self.bad_rows)
        if label_file is not None:
            if self.custom_classes is None:
                chosen.check(self._boxes.labels, self.ann_file, label_file)
            self._metainfo.setdefault('classes', tuple(
                chosen.names.get(i, f'class {i}')
                for i in chosen.ids[1:].tolist()))
        videos = self.find_videos(self._boxes.videos)
        self._check_length(videos)
        return videos

    def plan_samples(self, videos: list[dict]) -> dict[str, np.ndarray]:
        """Chooses the keyframes and finds their boxes and proposals."""
        boxes, file = self._boxes, self.proposal_file
        found = read_proposals(file) if file else {}
        number = {v['video_id']: i for i, v in enumerate(videos)}
        # Keyframes of videos that were left out are left out with them.
        kept = np.asarray([number.get(v, -1) for v in boxes.videos])
        video = kept[boxes.video]
        rows = np.flatnonzero(video >= 0)
        table = np.stack([video[rows], boxes.timestamp[rows], rows])
        table = np.concatenate(
            [table, *self._more_keyframes(videos, number, found)], 1)
        # Annotated ones come first and so win over equal ones without boxes.
        table = table[:, np.lexsort(table[1::-1])]
        table = table[:, (np.diff(table[:2], prepend=-1) != 0).any(0)]
        table = table[:, self._usable(videos, *table)]
        video, time, rows = table
        self._proposals = None
        if file is not None:
            keys = self._keys(videos, video, time)
            self._proposals = self._pick_proposals(found, keys, rows)
        self.keyframes = Keyframes(video.astype(np.int32), time,
                                   rows.astype(np.int32))
        self._report(videos)
        return dict(video=self.keyframes.video, position=self.keyframes.time)

    def _pick_proposals(self, found: dict, keys: list[tuple[str, int]],
                        rows: np.ndarray) -> BoxTable:
        """Those of keyframes, and whether they fit the annotations."""
        file, least = self.proposal_file, self.person_det_score_thr
        count_matches(found, [k for k, r in zip(keys, rows) if r >= 0]
                      or keys, file, self.ann_file)
        table = pick_proposals(found, keys, file, least, self.keep_best,
                               self.num_max_proposals)
        tell_left_out(found, keys, table, file, least)
        own = self._boxes.table
        self.misfit = describe_misfit(own.columns['gt_bboxes'], np.stack([
            own.first[rows], own.first[rows + (rows >= 0)]], 1), table, file,
            self.ann_file)
        return table

    @staticmethod
    def _keys(videos: list[dict], video: np.ndarray,
              time: np.ndarray) -> list[tuple[str, int]]:
        return [(videos[v]['video_id'], t)
                for v, t in zip(video.tolist(), time.tolist())]

    def _more_keyframes(self, videos: list[dict], number: dict[str, int],
                        found: dict) -> list[np.ndarray]:
        """Keyframes beside the annotated ones: video, timestamp and -1."""
        grid = self.grid
        low, high = self.keyframe_range or (grid.start, np.inf)
        low = max(low, grid.start)
        if self.which == 'annotated':
            return []
        if self.which == 'all':
            keys = [(i, t) for i, video in enumerate(videos) for t in range(
                low, int(min(high, grid.last(Clock(video)))) + 1)]
        else:
            high = high if grid.end is None else min(high, grid.end)
            keys = [(v, t) for v, t in found if v in number
                    and low <= t <= high]
            good = pick_proposals(found, keys, self.proposal_file,
                                  self.person_det_score_thr, keep_best=False)
            keys = [(number[v], t) for (v, t), num in zip(
                keys, good.counts) if num]
        keys = np.asarray(keys, np.int64).reshape(-1, 2).T
        return [np.concatenate([keys, np.full_like(keys[:1], -1)])]

    def _usable(self, videos: list[dict], video: np.ndarray, time: np.ndarray,
                rows: np.ndarray) -> np.ndarray:
        """Which keyframes are in their videos and not excluded."""
        fps = np.asarray([v['fps'] for v in videos])[video]
        length = np.asarray([v['num_frames'] for v in videos])[video]
        # Keyframes are sorted by video.
        own = np.split(time, np.searchsorted(video, range(1, len(videos))))
        center = np.concatenate([
            self.grid.frame_of(t, Clock(v)) for v, t in zip(videos, own)])
        outside = (center < 0) | (center >= length)
        keys = self._keys(videos, video, time)
        never = read_exclusions(self.exclude_file) if self.exclude_file \
            else ()
        excluded = np.asarray([key in never for key in keys], dtype=bool)
        # Those that nobody annotated are no mistake of the annotations.
        wrong = outside & ~excluded & (rows >= 0)
        hint = ''
        if (wrong.mean() > 0.5 and self.grid.start == 0 and self.grid.rate == 1
            and time.min() >= 900 and ((time - 900) * fps < length).all()):
            hint = ("; these look like AVA's 15-minute cuts, for which "
                    'timestamp_start=900')
        drop(keys, [
            f'{image_key(*key)} (frame {c} of {n})' if x else ''
            for key, c, n, x in zip(keys, center, length, wrong)
        ], self.outside_video, f'keyframes of {self.ann_file!r} are after the '
            'end of their videos', f'check timestamp_start={self.grid.start} '
            f'and keyframe_rate={self.grid.rate!r}{hint}; or leave such '
            "keyframes out by outside_video='skip'")
        self._num_excluded = int((excluded & ~outside).sum())
        keep = ~(outside | excluded)
        if not keep.any():
            raise ValueError(f'no keyframe of {self.ann_file!r} is left: '
                             f'{self._num_excluded} are excluded by '
                             f'{self.exclude_file!r}, the others are outside '
                             'of their videos')
        return keep

    def _report(self, videos: list[dict]) -> None:
        table = self.keyframes
        counts = np.append(self._boxes.table.counts, 0)[table.rows]
        text = (f"; {len(table.rows)} keyframes (keyframes='{self.which}'), "
                f'{(table.rows >= 0).sum()} of them annotated, with '
                f'{counts.sum()} boxes; {self._num_excluded} keyframes '
                'excluded')
        for what, num in self._boxes.skipped.items():
            text += f'; {num} {what}'
        if self._proposals is not None:
            num = self._proposals.counts
            text += (f'; {num.sum()} proposals, none for {(num == 0).sum()} '
                     'keyframes')
        self.summary = text
        boxed = set(table.video[counts > 0].tolist())
        without = [v['video_id'] for i, v in enumerate(videos)
                   if i not in boxed]
        if without:
            (log if self.test_mode else warn)(
                f'{len(without)} of {len(videos)} videos have no annotated '
                f'box: {first_names(without)}')

    def _check_length(self, videos: list[dict]) -> None:
        """Warns of whole films that are taken for cuts of them."""
        grid = self.grid
        if grid.start == 0 or grid.end is None or grid.rate == 'frames':
            return
        seconds = (grid.end - grid.start) / grid.rate
        long = [v['video_id'] for v in videos
                if v['num_frames'] / v['fps'] > 1.5 * seconds]
        if long:
            warn(f'{len(long)} of {len(videos)} videos last much longer than '
                 f'from timestamp_start={grid.start} to timestamp_end='
                 f'{grid.end}: {first_names(long)}. If they are whole films, '
                 'set timestamp_start=0; else boxes and frames do not belong '
                 'together')

    # -- samples ------------------------------------------------------------

    def sample_keys(self, idx: int, video: dict) -> dict:
        """Place, boxes and actions of a keyframe."""
        return self.keyframe_keys(video, int(self.samples['video'][idx]),
                                  int(self.samples['position'][idx]))

    def keyframe_keys(self, video: dict, number: int, time: int) -> dict:
        """What is known of a timestamp of a video, whose number it is.

        A moment that is no keyframe has no box.
        """
        keyframe, clock = self.keyframes.find(number, time), Clock(video)
        row = -1 if keyframe < 0 else self.keyframes.rows[keyframe]
        keys = dict(img_key=image_key(video['video_id'], time),
                    center_frame=int(self.grid.frame_of(time, clock)),
                    start_seconds=float(self.grid.seconds_of(time, clock)),
                    **self._boxes.table.at(row))
        keys['gt_labels'] = self._boxes.unpack(
            keys['gt_labels']).astype(np.float32)
        if self._proposals is not None:
            keys.update(self._proposals.at(keyframe))
        elif self.test_mode:
            boxes = keys['gt_bboxes'].copy()
            keys.update(
                proposals=boxes, scores=np.ones(len(boxes), np.float32))
        if 'proposals' in keys:
            keys['orig_proposals'] = keys['proposals'].copy()
        return keys
