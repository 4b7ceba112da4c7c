# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Clips of many files, decoded ahead by processes of their own."""
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mmaction_memvit.video.frames import Clock, VideoReadError

from .clip_loader import ClipLoader

# Clips that a worker reads in one go, one after the other, so that it seldom
# decodes what another has decoded.
_CLIPS = 16


class Chunk(NamedTuple):
    """Some consecutive clips of a group of files."""
    group: int
    names: tuple  # of the files that have such clips
    first: int
    last: int  # the one after the last
    ends: bool  # whether no more clips follow


def chunks_of(group: int, counts: Mapping[str, int],
              start: int) -> List[Chunk]:
    """The chunks of a group, by the clips of its files and those done."""
    end = max(counts.values())
    if start >= end > 0:
        return []
    found = []
    while start < end or not found:
        names = tuple(x for x, num in counts.items() if num > start)
        last = min(end, start + max(1, _CLIPS // max(len(names), 1)))
        found.append(Chunk(group, names, start, last, last == end))
        start = last
    return found


class ChunkReader(Dataset):
    """Chunks with their frames, by number.

    ``videos`` are paths, ``index`` entries of an index, both by names.
    """

    def __init__(self, loader: ClipLoader, chunks: Sequence[Chunk],
                 videos: Mapping[str, str], index: Mapping[str, dict]) -> None:
        self.loader, self.chunks = loader, chunks
        self.videos, self.index = videos, index

    def __len__(self) -> int:
        """Number of chunks."""
        return len(self.chunks)

    def __getitem__(self, number: int) -> Dict[str, list]:
        """Clips by file; in place of one that cannot be read the reason."""
        chunk = self.chunks[number]
        return {name: self._read(name, chunk.first, chunk.last)
                for name in chunk.names}

    def _read(self, name: str, first: int, last: int) -> List[Any]:
        entry = self.index[name]
        clock = Clock(entry)
        last = min(last, self.loader.plan.num_clips(clock))
        found: List[Any] = []
        for clip in range(first, last):
            try:
                clip = self.loader.read(self.videos[name], entry, clip)
            except (VideoReadError, OSError) as e:
                return [*found, str(e)]
            if self.loader.takes_boxes:
                # Whoever finds the boxes wants the pictures. Tensors are
                # shared between processes, arrays copied.
                clip.images = torch.from_numpy(np.stack(clip.images))
            else:
                clip.data = self.loader.pack(clip, clock, name)
                clip.images = []
            found.append(clip)
        return found


def read_ahead(reader: ChunkReader,
               num_workers: int) -> Iterator[Dict[str, Iterator]]:
    """Iterate over chunks, of each file over its clips, read by processes."""
    loader = DataLoader(reader, batch_size=None, collate_fn=as_it_is,
                        num_workers=num_workers)
    for files in loader:
        yield {name: map(_ready, clips) for name, clips in files.items()}


def as_it_is(batch: Any) -> Any:
    """In place of a collate function."""
    return batch


def _ready(clip: Any) -> Any:
    if not isinstance(clip, str) and torch.is_tensor(clip.images):
        clip.images = list(clip.images.numpy())
    return clip
