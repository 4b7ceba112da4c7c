# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The streams of a data set, and which clip every lane shows at every step.

A *stream* is all clips of one video in order, a *lane* one position of the
batch on one rank. Lane ``g`` of ``world_size * batch_size`` lanes is position
``g // world_size`` of the batches of rank ``g % world_size``.
"""
from __future__ import annotations

import heapq
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import ConcatDataset


class Streams(NamedTuple):
    """The clips of a data set of N clips and V videos, in stream order.

    ``names`` are V video ids, by first appearance. ``indices`` of the data set
    (N, ) come video after video, each video's clips by ascending position;
    ``positions`` (N, ) are these. ``starts`` and ``lengths`` (V, ) tell where
    each video begins in ``indices``, and how many clips it has.
    """
    names: list
    indices: np.ndarray
    positions: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    def by_index(self) -> tuple[np.ndarray, np.ndarray]:
        """Video number and position of every data set index, both (N, )."""
        videos = np.empty_like(self.indices)
        positions = np.empty_like(self.positions)
        videos[self.indices] = np.repeat(
            np.arange(len(self.names)), self.lengths)
        positions[self.indices] = self.positions
        return videos, positions


def read_stream_keys(dataset: Any) -> list[tuple[str, int]]:
    """Read video and position of every sample, without decoding.

    The data set has ``stream_keys()``, or its ``get_data_info(index)`` gives
    ``video_id`` and ``timestamp``, or it is a ``ConcatDataset`` of such. Else,
    or if there are more or fewer keys than samples, it is a ValueError.
    """
    name = type(dataset).__name__
    if name == '_SlicedDataset':
        raise ValueError(
            f'num_batch_per_epoch cuts the data set to its first '
            f'{len(dataset)} samples, in the middle of a stream. Remove it '
            'from the data loader and list fewer videos for a shorter epoch.')
    if isinstance(dataset, ConcatDataset):
        return [key for part in dataset.datasets
                for key in read_stream_keys(part)]
    if hasattr(dataset, 'stream_keys'):
        keys = list(dataset.stream_keys())
    else:
        try:
            infos = map(dataset.get_data_info, range(len(dataset)))
            keys = [(x['video_id'], x['timestamp']) for x in infos]
        except (AttributeError, KeyError) as e:
            raise ValueError(
                f'{name} has neither `stream_keys` nor `get_data_info` with '
                f'`video_id` and `timestamp` ({e}). Use OnlineVideoDataset or '
                'give your data set `stream_keys()`, a list of (video_id, '
                'position).') from e
    if len(keys) != len(dataset):
        raise ValueError(
            f'{name}.stream_keys() gives {len(keys)} keys for {len(dataset)} '
            'samples. It must give one (video_id, position) for every index, '
            'in index order.')
    return keys


def set_dataset_epoch(dataset: Any, epoch: int) -> None:
    """Tell a data set, or the parts of a ``ConcatDataset``, the epoch.

    It is told if it has ``set_epoch``.
    """
    if hasattr(dataset, 'set_epoch'):
        dataset.set_epoch(epoch)
    elif isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            set_dataset_epoch(part, epoch)


def index_streams(keys: Sequence[tuple[Hashable, int]]) -> Streams:
    """Sort the clips of a data set into streams.

    ``keys`` are ``(video_id, position)`` of every index. Holes are allowed and
    clips may come in any order. It is a ValueError if there is no clip, a
    position is not an integer, or a pair comes twice.
    """
    if len(keys) == 0:
        raise ValueError(
            'The data set has 0 clips, at least 1 is needed. Check its '
            'annotation file and data_prefix.')
    numbers: dict = {}
    videos = np.fromiter(
        (numbers.setdefault(video, len(numbers)) for video, _ in keys),
        np.int64, len(keys))
    positions = np.array([position for _, position in keys])
    if positions.ndim != 1 or positions.dtype.kind not in 'iu':
        raise ValueError(
            'The position of a clip in its video must be an integer, but '
            f'stream keys look like {keys[0]!r} and give an array of '
            f'{positions.dtype}. Give (video_id, int) for every index.')
    positions = positions.astype(np.int64)
    names = list(numbers)

    indices = np.lexsort((positions, videos))
    videos, positions = videos[indices], positions[indices]
    twice = (np.diff(videos) == 0) & (np.diff(positions) == 0)
    if twice.any():
        at = int(twice.argmax())
        raise ValueError(
            f'Position {positions[at]} of video {names[videos[at]]!r} comes '
            f'twice, at the indices {indices[at]} and {indices[at + 1]} of '
            f'the data set ({int(twice.sum())} such pairs in all). A stream '
            'shows every clip once: remove the repeated entries, give '
            'videos of different ConcatDataset parts different ids, and '
            'train more epochs in place of RepeatDataset or '
            'ClassBalancedDataset.')
    lengths = np.bincount(videos, minlength=len(names))
    return Streams(names, indices, positions,
                   np.cumsum(lengths) - lengths, lengths)


def limit_streams(streams: Streams, max_stream_len: int, seed: int,
                  epoch: int) -> Streams:
    """Leave one piece of every video that is too long.

    The pieces of a video take turns from epoch to epoch, so that ``n`` epochs
    in a row show all of a video of ``n`` pieces. One video never gives two
    streams in an epoch: they would overwrite each other's memory. A piece at
    the end of a video overlaps the one before; ``seed`` draws the first.
    """
    lengths = np.minimum(streams.lengths, max_stream_len)
    num_pieces = -(-streams.lengths // max_stream_len)
    first = np.random.default_rng(seed).integers(num_pieces)
    piece = (first + epoch) % num_pieces
    skipped = np.minimum(piece * max_stream_len, streams.lengths - lengths)
    return streams._replace(starts=streams.starts + skipped, lengths=lengths)


def order_longest_first(lengths: np.ndarray,
                        rng: np.random.Generator | None = None) -> np.ndarray:
    """Numbers of the videos, longest first.

    ``rng`` draws the order of videos of one length; None keeps the given one.
    """
    order = np.arange(len(lengths)) if rng is None else rng.permutation(
        len(lengths))
    return order[np.argsort(-lengths[order], kind='stable')]


def deal_to_shortest(lengths: np.ndarray, num_lanes: int) -> np.ndarray:
    """Lane of each video: in turn, the one with the fewest clips so far.

    Of equally short lanes the first takes the video.
    """
    # One integer per lane, load * num_lanes + lane, keeps the heap quick.
    heap = list(range(num_lanes))
    lanes = np.empty(len(lengths), np.int64)
    for i, length in enumerate((lengths * num_lanes).tolist()):
        lanes[i] = heap[0] % num_lanes
        heapq.heapreplace(heap, heap[0] + length)
    return lanes


def can_split(lengths: np.ndarray, num_lanes: int) -> bool:
    """Whether videos can be split over lanes without meeting themselves.

    The two parts of a split video run at the end of one lane and at the
    beginning of the next. No video may be longer than a lane, or both would
    run at the same time and overwrite each other's memory.
    """
    return bool(lengths.max() <= lengths.sum() // num_lanes)


def count_train_steps(lengths: np.ndarray, num_lanes: int,
                      split_videos: bool = False) -> int:
    """Steps of a training epoch, at least 1, the same in all epochs and ranks.

    Dealing longest first leads to the same loads whichever of two equally
    long videos goes first, so the length of the fullest lane depends on
    neither seed nor epoch.
    """
    if split_videos and can_split(lengths, num_lanes):
        return int(-(-lengths.sum() // num_lanes))
    ordered = lengths[order_longest_first(lengths)]
    lanes = deal_to_shortest(ordered, num_lanes)
    return int(np.bincount(lanes, ordered).max())


def plan_train_epoch(streams: Streams, seed: int, epoch: int, rank: int,
                     world_size: int, batch_size: int, shuffle: bool = True,
                     split_videos: bool = False) -> np.ndarray:
    """Plan one training epoch of one rank: indices (steps, batch_size).

    Column ``k`` is lane ``k`` of the rank: whole videos, one after the
    other. Over all ranks every clip of the data set appears. A lane that runs
    out begins again with its first video; the padding never shows a video
    that another lane shows, so no stream loses its memory to it. With
    ``shuffle`` it is drawn anew every epoch which videos share a lane, their
    order in it and the lanes' places. Fewer videos than lanes are a
    ValueError.
    """
    num_lanes = world_size * batch_size
    check_enough_videos(len(streams.names), world_size, batch_size)
    rng = np.random.default_rng([seed, epoch]) if shuffle else None
    steps = count_train_steps(streams.lengths, num_lanes, split_videos)
    own = rank + world_size * np.arange(batch_size)
    if split_videos and can_split(streams.lengths, num_lanes):
        lanes = _split_into_lanes(streams, num_lanes, own, rng)
    else:
        lanes = _deal_into_lanes(streams, num_lanes, own, steps, rng)
    return np.stack([
        np.concatenate([lane, np.resize(lane[first:], steps - len(lane))])
        for lane, first in lanes], axis=1)  # B x (steps, ) -> (steps, B)


def plan_evaluation(streams: Streams, rank: int, world_size: int,
                    batch_size: int) -> list[list[int]]:
    """Plan the evaluation of one rank: data set indices of each batch.

    Videos stay whole and every clip of the data set appears exactly once
    over all ranks, so ranks may have different numbers of steps. A lane that
    runs out drops out of the batch; the longest lane comes first, so the
    places of the others do not change.
    """
    order = order_longest_first(streams.lengths)
    lane_of = deal_to_shortest(streams.lengths[order], world_size * batch_size)
    lanes = [_gather_clips(streams, order[lane_of == lane])
             for lane in rank + world_size * np.arange(batch_size)]
    lanes.sort(key=len, reverse=True)
    loads = np.array([len(lane) for lane in lanes])
    table = np.full((loads[0], batch_size), -1)
    for column, lane in enumerate(lanes):
        table[:len(lane), column] = lane
    alive = (loads > np.arange(loads[0])[:, None]).sum(axis=1)
    return [row[:n] for row, n in zip(table.tolist(), alive.tolist())]


def check_enough_videos(num_videos: int, world_size: int,
                        batch_size: int) -> None:
    """Raise a ValueError if a training lane would stay without a video."""
    num_lanes = world_size * batch_size
    if num_videos < num_lanes:
        remedy = (f'a batch size of at most {num_videos // world_size}'
                  if num_videos >= world_size else
                  f'at most {num_videos} processes')
        raise ValueError(
            f'{num_videos} videos cannot feed {num_lanes} lanes (world size '
            f'{world_size} x batch size {batch_size}): every lane needs a '
            f'video of its own in training. Use {remedy} or list more videos.')


def _deal_into_lanes(streams: Streams, num_lanes: int, own: np.ndarray,
                     steps: int, rng: np.random.Generator | None
                     ) -> list[tuple[np.ndarray, int]]:
    """Deal whole videos.

    Returns the clips of each of the ``own`` lanes, and where in them padding
    may begin.
    """
    lengths = streams.lengths
    order = order_longest_first(lengths, rng)
    lane_of = np.empty_like(order)
    lane_of[order] = deal_to_shortest(lengths[order], num_lanes)
    turn = np.arange(len(order))
    if rng is not None:
        lane_of = _mix_lanes(lane_of, lengths, num_lanes, steps, rng)
        lane_of = rng.permutation(num_lanes)[lane_of]
        turn = rng.permutation(len(order))
    by_lane = np.lexsort((turn, lane_of))
    bounds = np.searchsorted(lane_of[by_lane], np.arange(num_lanes + 1))
    return [(_gather_clips(streams, by_lane[bounds[g]:bounds[g + 1]]), 0)
            for g in own]


def _mix_lanes(lane_of: np.ndarray, lengths: np.ndarray, num_lanes: int,
               steps: int, rng: np.random.Generator) -> np.ndarray:
    """Let pairs of videos change lanes where both lanes stay in ``steps``.

    Videos of different lengths are dealt in one fixed order; without this
    the same ones would share a lane, and never a batch, in every epoch.
    """
    partners = rng.integers(len(lengths), size=len(lengths)).tolist()
    loads = np.bincount(lane_of, lengths, num_lanes).astype(int).tolist()
    lanes, sizes = lane_of.tolist(), lengths.tolist()
    for a, b in enumerate(partners):
        lane_a, lane_b = lanes[a], lanes[b]
        more = sizes[a] - sizes[b]
        if (lane_a != lane_b and loads[lane_a] - more <= steps
                and loads[lane_b] + more <= steps):
            lanes[a], lanes[b] = lane_b, lane_a
            loads[lane_a] -= more
            loads[lane_b] += more
    return np.array(lanes)


def _split_into_lanes(streams: Streams, num_lanes: int, own: np.ndarray,
                      rng: np.random.Generator | None
                      ) -> list[tuple[np.ndarray, int]]:
    """Cut the videos, laid end to end, into lanes that differ by one clip.

    Returns as :func:`_deal_into_lanes`. Padding begins at the first video
    that begins in the lane; the cut one before it may still be running at
    the end of the lane before.
    """
    order = np.arange(len(streams.names)) if rng is None else rng.permutation(
        len(streams.names))
    clips = _gather_clips(streams, order)
    begins = np.cumsum(streams.lengths[order]) - streams.lengths[order]
    bounds = np.arange(num_lanes + 1) * len(clips) // num_lanes
    firsts = begins[np.searchsorted(begins, bounds[:-1])] - bounds[:-1]
    return [(clips[bounds[g]:bounds[g + 1]], int(firsts[g])) for g in own]


def _gather_clips(streams: Streams, videos: np.ndarray) -> np.ndarray:
    """Data set indices of whole videos, one video after the other."""
    lengths = streams.lengths[videos]
    begins = np.cumsum(lengths) - lengths
    shift = np.repeat(streams.starts[videos] - begins, lengths)
    return streams.indices[shift + np.arange(len(shift))]
