# Copyright (c) mmaction_memvit contributors. All rights reserved.
from collections import OrderedDict
from typing import (
    Callable,
    Dict,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import torch

from .box_memory import DetectionMemory
from .memory import StreamMemory

# The bank asks no more of a memory than what these have in common.
Memory = Union[StreamMemory, DetectionMemory]


class ClipIdentity(NamedTuple):
    """Which clip of which stream a lane holds.

    Args:
        video_id (str): The video.
        position (int): The clip's place in it; grows along the stream.
        view (int): Crop or other view, each a stream of its own. Defaults
            to 0.
    """
    video_id: str
    position: int
    view: int = 0

    @property
    def stream(self) -> Tuple[str, int]:
        """tuple: what names the stream."""
        return self.video_id, self.view


class _Entry(NamedTuple):
    """What a stream left: its place and its row in a batch's memory."""
    position: int
    memory: Memory
    row: int


class MemoryBank:
    """The memories of streams, found again by identity.

    The one place that holds state. A stream is continued only if the clip
    that comes in follows the remembered one: same video and view, position
    greater by at most ``max_gap``. Else it starts anew. Where in the batch a
    stream stood does not matter, so smaller last batches, lanes that moved,
    missing seconds and replaced samples need no special care.

    Args:
        max_gap (int): Greatest step of positions within a stream. Defaults
            to 1.
        max_streams (int, optional): Streams remembered at most; those not
            seen for longest are forgotten. Defaults to None: twice the
            largest batch.

    Raises:
        ValueError: If an argument is below 1.
    """

    def __init__(self,
                 max_gap: int = 1,
                 max_streams: Optional[int] = None) -> None:
        for name, value in (('max_gap', max_gap), ('max_streams',
                                                   max_streams)):
            if value is not None and value < 1:
                raise ValueError(f'{name} is {value}, but must be at least 1')
        self.max_gap = max_gap
        self.max_streams = max_streams
        self.clear()

    def clear(self) -> None:
        """Forget everything, the counts too."""
        self._streams: Dict[tuple, _Entry] = OrderedDict()
        self._largest_batch = 0
        self.num_clips = 0
        self.num_continued = 0
        self.num_not_finite = torch.zeros((), dtype=torch.long)

    def forget(self, video_id: str) -> None:
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
        if entry and 0 < clip.position - entry.position <= self.max_gap:
            return entry
        return None

    def read(self, clips: Sequence[ClipIdentity],
             init: Callable[[int], Memory]) -> Memory:
        """The memory of a batch of clips.

        Args:
            clips (Sequence[ClipIdentity]): What each lane holds, B.
            init (Callable): Makes an empty memory of that many lanes.

        Returns:
            StreamMemory | DetectionMemory: Of B lanes, empty where a stream
            starts.
        """
        found = [self._find(clip) for clip in clips]
        self.num_clips += len(clips)
        self.num_continued += sum(x is not None for x in found)
        sources: List[Memory] = []
        for entry in found:
            if entry and not any(entry.memory is m for m in sources):
                sources.append(entry.memory)
        if not sources:
            return init(len(clips))
        offsets, total = [], 0
        for source in sources:
            offsets.append(total)
            total += source.batch_size
        rows = []
        for lane, entry in enumerate(found):
            if entry is None:
                # Any row will do, it is reset below; its own keeps a batch
                # in which one video ended where it is.
                rows.append(min(lane, total - 1))
                continue
            source = next(i for i, m in enumerate(sources)
                          if m is entry.memory)
            rows.append(offsets[source] + entry.row)
        memory = type(sources[0]).cat(sources)
        if rows != list(range(total)):
            memory = memory.select(rows)
        new = [entry is None for entry in found]
        if any(new):
            memory = memory.reset(torch.tensor(new))
        return memory

    def write(self,
              clips: Sequence[ClipIdentity],
              memory: Memory,
              batch_size: Optional[int] = None) -> None:
        """Store what is remembered after these clips.

        The graph ends here. A lane whose newest entries are not finite
        forgets everything, so that one bad step does no lasting harm.

        Args:
            clips (Sequence[ClipIdentity]): What each lane held, B.
            memory (StreamMemory | DetectionMemory): Of B lanes.
            batch_size (int, optional): Size of the whole batch, where these
                clips are a part of it. Defaults to None: B.
        """
        memory = memory.detach()
        finite = memory.finite()
        self.num_not_finite = self.num_not_finite.to(
            finite.device) + (~finite).sum()
        # On an accelerator, asking would make the host wait.
        if finite.device.type != 'cpu' or not finite.all():
            memory = memory.reset(~finite)
        for row, clip in enumerate(clips):
            self._streams[clip.stream] = _Entry(clip.position, memory, row)
            self._streams.move_to_end(clip.stream)
        self._largest_batch = max(self._largest_batch, batch_size
                                  or len(clips))
        limit = self.max_streams or 2 * self._largest_batch
        while len(self._streams) > max(limit, len(set(clips))):
            self._streams.popitem(last=False)
        for stream, entry in self._streams.items():
            if entry.memory is not memory and entry.memory.batch_size > 1:
                # Do not keep a whole batch alive for one lane of it.
                self._streams[stream] = entry._replace(
                    memory=entry.memory.select([entry.row]), row=0)
