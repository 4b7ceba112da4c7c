# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Clips of many videos, read ahead by processes of their own."""
from typing import Any, Callable, Iterator, List, Sequence, Tuple

from torch.utils.data import DataLoader, Dataset

from mmaction_memvit.video.frames import VideoReadError

#: Clips that pass a model together: names of videos, numbers of clips.
Batch = List[Tuple[str, int]]
# Clips that a worker reads in one go, one after the other, so that it seldom
# decodes what another has decoded.
_CLIPS = 16


class _Reader(Dataset):
    """Some batches in a row, by number."""

    def __init__(self, read: Callable[[str, int], Any],
                 chunks: Sequence[Sequence[Batch]]) -> None:
        self.read, self.chunks = read, chunks

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, number: int) -> List[List[Any]]:
        return [[self._read(*key) for key in batch]
                for batch in self.chunks[number]]

    def _read(self, name: str, clip: int) -> Any:
        try:
            return self.read(name, clip)
        except (VideoReadError, OSError) as e:
            return str(e) or type(e).__name__


def read_ahead(read: Callable[[str, int], Any], batches: Sequence[Batch],
               num_workers: int) -> Iterator[List[Any]]:
    """The clips of each batch; in place of one that cannot be read the reason.

    ``read`` gives the clip of a name and a number.
    """
    chunks: List[List[Batch]] = []
    room = 0
    for batch in batches:
        if len(batch) > room or not chunks:
            chunks.append([])
            room = _CLIPS
        chunks[-1].append(batch)
        room -= len(batch)
    loader = DataLoader(_Reader(read, chunks), batch_size=None,
                        collate_fn=_as_it_is, num_workers=num_workers)
    for chunk in loader:
        yield from chunk


def _as_it_is(chunk: Any) -> Any:
    return chunk
