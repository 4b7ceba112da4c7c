# Copyright (c) mmaction_memvit contributors. All rights reserved.
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Optional

import torch

from mmaction_memvit.messages import check_whole

from . import state
from .state import Memory


class ClipIdentity(NamedTuple):
    """Which clip of which stream a lane holds.

    Args:
        video_id (Hashable): The video, or what else names what is watched.
        position (int): The clip's place in it; grows along the stream.
        view (int): Crop or other view, each a stream of its own. Defaults
            to 0.
        seconds (float, optional): Where the clip starts. Defaults to None:
            nobody knows.
    """
    video_id: Hashable
    position: int
    view: int = 0
    seconds: Optional[float] = None

    @property
    def stream(self) -> tuple[Hashable, int]:
        """tuple: what names the stream."""
        return self.video_id, self.view

    def follows(self, before: 'ClipIdentity', max_gap: int) -> bool:
        """Whether it continues the stream of a clip before."""
        return (self.stream == before.stream
                and 0 < self.position - before.position <= max_gap)


class _Stored:
    """The memory of a batch, of whose lanes some may be of use no more."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory


class _Entry(NamedTuple):
    """What a stream left: its last clip, and its lane of a memory."""
    clip: ClipIdentity
    stored: _Stored
    row: int


class MemoryBank:
    """The memories of streams, found again by identity.

    The one place that holds state. A stream is continued only if the clip
    that comes in follows the remembered one: same video and view, position
    greater by at most ``max_gap``. Else it starts anew. Where in the batch a
    stream stood does not matter, so smaller last batches, lanes that moved,
    missing seconds and replaced samples need no special care.

    A lane that is not finite starts anew, so that one bad step does no lasting
    harm. An accelerator is never waited for.

    Args:
        max_gap (int): Greatest step of positions within a stream. Defaults
            to 1.
        max_streams (int, optional): Streams remembered at most; those not
            seen for longest are forgotten. Defaults to None: twice the
            largest batch.

    Raises:
        ValueError: If an argument is below 1.
    """

    def __init__(self, max_gap: int = 1,
                 max_streams: Optional[int] = None) -> None:
        for name, value in (('max_gap', max_gap), ('max_streams',
                                                   max_streams)):
            if value is not None:
                check_whole(name, value)
        self.max_gap = max_gap
        self.max_streams = max_streams
        self.clear()

    def clear(self) -> None:
        """Forget everything, the counts too."""
        self._streams: dict[tuple, _Entry] = OrderedDict()
        # Memories with their graph and without, while a window is open.
        self._window: Optional[list[tuple[_Stored, Memory]]] = None
        self._largest_batch = 0
        self.num_clips = 0
        self.num_continued = 0
        self.num_not_finite = torch.zeros((), dtype=torch.long)

    def forget(self, video_id: Hashable) -> None:
        """Forget the streams of a video."""
        for stream in [x for x in self._streams if x[0] == video_id]:
            del self._streams[stream]

    def __len__(self) -> int:
        """Streams remembered."""
        return len(self._streams)

    def __deepcopy__(self, memo: dict) -> 'MemoryBank':
        # A copied model (EMAHook) starts with no streams of its own.
        return MemoryBank(self.max_gap, self.max_streams)

    def _find(self, clip: ClipIdentity) -> Optional[_Entry]:
        """The entry ``clip`` continues."""
        entry = self._streams.get(clip.stream)
        if entry and clip.follows(entry.clip, self.max_gap):
            return entry
        return None

    def elapsed(self, clips: Sequence[ClipIdentity]) -> Optional[list[float]]:
        """Seconds since each stream's clip before; to be asked before write.

        0 where a stream starts; None if a clip does not know its time.
        """
        if any(clip.seconds is None for clip in clips):
            return None
        before = [self._find(clip) for clip in clips]
        return [0. if x is None or x.clip.seconds is None
                else clip.seconds - x.clip.seconds
                for clip, x in zip(clips, before)]

    def read(self, clips: Sequence[ClipIdentity],
             init: Callable[[int], Memory]) -> Memory:
        """The memory of a batch of B clips, empty where a stream starts.

        Of the streams of the last batch, in their order, it is what was
        stored, without a copy. ``init`` makes an empty memory of that many
        lanes.
        """
        found = [self._find(clip) for clip in clips]
        new = [entry is None for entry in found]
        self.num_clips += len(clips)
        self.num_continued += len(clips) - sum(new)
        if all(new):
            return init(len(clips))
        memory = _gather(found)
        return state.reset(memory, torch.tensor(new)) if any(new) else memory

    def write(self, clips: Sequence[ClipIdentity], memory: Memory,
              batch_size: Optional[int] = None) -> None:
        """Store what is remembered after these B clips; the graph ends here.

        ``batch_size`` is that of the whole batch, where they are a part of it.
        """
        broken = ~state.finite(state.detach(memory))
        self.num_not_finite = self.num_not_finite.to(
            broken.device) + broken.sum()
        # On an accelerator, asking would make the host wait.
        if broken.device.type != 'cpu' or broken.any():
            memory = state.reset(memory, broken)
        stored = self._store(memory)
        for row, clip in enumerate(clips):
            self._streams[clip.stream] = _Entry(clip, stored, row)
            self._streams.move_to_end(clip.stream)
        self._largest_batch = max(self._largest_batch, batch_size
                                  or len(clips))
        # Never fewer than a batch has: its parts would drive each other out.
        limit = max(self.max_streams or 2 * self._largest_batch,
                    batch_size or len(clips))
        while len(self._streams) > limit:
            self._streams.popitem(last=False)
        self._shrink(stored)

    def _store(self, memory: Memory) -> _Stored:
        """Keep a memory, within a window with its graph."""
        own = state.detach(memory)
        if self._window is None:
            return _Stored(own)
        stored = _Stored(memory)
        self._window.append((stored, own))
        return stored

    @contextmanager
    def window(self) -> Iterator[None]:
        """Within it the graph goes on from step to step; it ends at the end.

        Streams may start, end, move and be replaced within a window as they
        may between batches.
        """
        self._window = []
        try:
            yield
        finally:
            for stored, own in self._window or ():
                stored.memory = own
            self._window = None

    def _shrink(self, latest: _Stored) -> None:
        """Do not keep a whole batch alive for a few lanes of it."""
        alive: dict[int, list[tuple]] = {}
        for stream, entry in self._streams.items():
            if entry.stored is not latest:
                alive.setdefault(id(entry.stored), []).append((stream, entry))
        for streams in alive.values():
            stored = streams[0][1].stored
            if len(streams) == state.num_lanes(stored.memory):
                continue
            part = self._store(state.select(
                stored.memory, [entry.row for _, entry in streams]))
            for row, (stream, entry) in enumerate(streams):
                self._streams[stream] = entry._replace(stored=part, row=row)


def _gather(found: Sequence[Optional[_Entry]]) -> Memory:
    """The lanes of entries as a batch.

    Where there is no entry any lane will do, as it is reset; its own keeps a
    batch in which one video ended where it is.
    """
    first = next(entry for entry in found if entry)
    last = state.num_lanes(first.stored.memory) - 1
    # Of each stored memory: lanes of the batch, and rows of it.
    parts: dict[int, tuple[_Stored, list[int], list[int]]] = {}
    for lane, entry in enumerate(found):
        stored, row = (entry.stored, entry.row) if entry else (
            first.stored, min(lane, last))
        _, lanes, rows = parts.setdefault(id(stored), (stored, [], []))
        lanes.append(lane)
        rows.append(row)
    memory = state.cat([_rows(stored.memory, rows)
                        for stored, _, rows in parts.values()])
    order = [lane for _, lanes, _ in parts.values() for lane in lanes]
    return _rows(memory, [order.index(lane) for lane in range(len(found))])


def _rows(memory: Memory, rows: list[int]) -> Memory:
    """Some lanes, without a copy where they are all as they stand."""
    if rows == list(range(state.num_lanes(memory))):
        return memory
    return state.select(memory, rows)
