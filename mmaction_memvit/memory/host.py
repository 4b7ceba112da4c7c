# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What recognizers, detectors and inference of streams have in common.

Any part of a model remembers (backbone, neck, head, RoI head) that has

- ``init_memory(batch_size, input_size=None, dtype=None, device=None)``: the
  memory at the start of B streams, empty, see :mod:`.state`; None where its
  configuration remembers nothing; and
- ``forward(x, memory, elapsed=None) -> (out, memory)``, pure. ``elapsed``:
  (B, ) seconds since each stream's clip before, 0 where it starts (but not
  where a stream is forgotten for not being finite); None if nobody knows.
  ``forward(x)`` alone does as stock parts of its kind do.
"""
import math
from collections import defaultdict
from functools import cached_property, partial
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmaction_memvit.messages import check_whole

from .bank import ClipIdentity, MemoryBank
from .state import Memory, on_device

MODES = ('train', 'val', 'test', 'predict')
Clips = Union[Tensor, Sequence[Tensor]]


class MemoryHost:
    """Mixin of models that own the memory of streams; it comes first.

    Each mode has a bank of its own, so validation cannot touch the training
    memory. A model says which of its parts may remember, in the order they
    run (:meth:`memory_parts`), and what one clip of each stream is
    (:meth:`step`); its memory is the tuple of theirs.

    Args:
        max_gap (int): Greatest step of ``timestamp`` within a stream; above
            it, the stream starts anew. Defaults to 1.
        max_streams (int, optional): Streams remembered at most. Defaults to
            None: twice the largest batch.
        bptt_clips (int, optional): In training on windows (``unroll`` of
            ``StreamBatchSampler``), clips after which the gradient through
            memory is cut (truncated back-propagation through time). Defaults
            to None: it ends with the window.
        with_cp (bool): Whether to recompute the clips of a window one by one
            in the backward pass, so that a window takes little more memory
            than a clip. Defaults to False.
        *args, **kwargs: For the model.
    """

    def __init__(self, *args, max_gap: int = 1,
                 max_streams: Optional[int] = None,
                 bptt_clips: Optional[int] = None, with_cp: bool = False,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.init_host(max_gap, max_streams, bptt_clips, with_cp)

    def init_host(self, max_gap: int, max_streams: Optional[int],
                  bptt_clips: Optional[int] = None,
                  with_cp: bool = False) -> None:
        """Make a bank for each mode; arguments as of the class."""
        if bptt_clips is not None:
            check_whole('bptt_clips', bptt_clips)
        self.bptt_clips, self.with_cp = bptt_clips, with_cp
        self.banks = {mode: MemoryBank(max_gap, max_streams) for mode in MODES}
        # Set by MemoryBankHook around validation and testing.
        self.eval_mode = 'predict'

    @cached_property
    def remembering(self) -> Tuple[bool, ...]:
        """tuple[bool]: which of the parts remember."""
        return tuple(map(remembers, self.memory_parts()))

    def memory_parts(self) -> Sequence[Optional[nn.Module]]:
        """Parts that may remember, in the order they run; None is none."""
        raise NotImplementedError

    def step(self, clips: Tensor, *args, memory: Memory = None,
             elapsed: Optional[Tensor] = None) -> Tuple[Any, Memory]:
        """One clip of each stream; a pure function.

        Args:
            clips (Tensor): (B, 3, T, H, W), normalised.
            *args: What else :meth:`run` was given of these lanes.
            memory (tuple, optional): Of the clips before, a memory for each
                of :meth:`memory_parts`. None: nothing is remembered.
            elapsed (Tensor, optional): (B, ) seconds since them.

        Returns:
            tuple: What the model makes of the clips, and the next memory
            (None if none came in).
        """
        raise NotImplementedError

    @property
    def with_memory(self) -> bool:
        """bool: whether a part remembers."""
        return any(self.remembering)

    def clips_back(self, places: int = 1) -> float:
        """Clips of the past that can matter, all parts together.

        A part that remembers says so by ``temporal_support``, an int;
        infinite if one does not, 0 without memory. It counts clips, or with
        ``per_frame=True`` vectors, of which a clip gives ``places``.
        """
        return sum(
            getattr(part, 'temporal_support', math.inf)
            / (places if getattr(part, 'per_frame', False) else 1)
            for part, on in zip(self.memory_parts(), self.remembering) if on)

    def bank(self, test_mode: bool) -> MemoryBank:
        """The bank of what is going on now."""
        return self.banks[self.eval_mode if test_mode else 'train']

    def init_memory(self, batch_size: int,
                    input_size: Optional[Tuple[int, int]] = None,
                    dtype: Optional[torch.dtype] = None,
                    device: Optional[torch.device] = None) -> Memory:
        """The memory at the start of B streams: a tuple, None where nothing.

        ``input_size`` is the height and width of frames.
        """
        return tuple(part.init_memory(batch_size, input_size, dtype, device)
                     if hasattr(part, 'init_memory') else None
                     for part in self.memory_parts())

    def run_batch(self, bank: MemoryBank, clips: Clips,
                  identities: Optional[Sequence[ClipIdentity]],
                  *args: Sequence,
                  most: Optional[int] = None) -> List[Tuple[List[int], Any]]:
        """Run a batch of one clip of each lane or, in training, of K.

        Args:
            bank (MemoryBank): Where the memories are.
            clips (Tensor | list[Tensor]): (N, 3, T, H, W), or N of (3, T, H,
                W); all lanes of the first step, then all of the next.
            identities (Sequence[ClipIdentity], optional): N; they tell the
                steps, see :func:`count_steps`. None in a model without
                memory.
            *args: What else :meth:`step` takes, as sequences of N.
            most (int, optional): As :meth:`run`.

        Returns:
            list[tuple]: Places in the batch, and what :meth:`step` gave for
            them, until the batch is through.
        """
        steps = 1
        if self.training and identities is not None:
            steps = count_steps(identities, bank.max_gap)
        lanes = len(clips) // steps
        firsts = range(0, len(clips), lanes)
        window = [
            tuple(None if x is None else x[i:i + lanes]
                  for x in (clips, identities, *args)) for i in firsts]
        return [([first + lane for lane in part], out)
                for first, parts in zip(firsts, self.run(window, bank, most))
                for part, out in parts]

    def run(self, window: Sequence[Tuple], bank: MemoryBank,
            most: Optional[int] = None) -> List[List[Tuple[List[int], Any]]]:
        """Run K consecutive clips of each lane; the bank moves on.

        The clips of a window are one graph, which ends with it, or after every
        ``bptt_clips``. A lane may change its stream within it. Clips of
        different frame sizes pass the model size by size, without padding:
        what a clip gives does not depend on its neighbours.

        Args:
            window (Sequence[tuple]): For each of K steps: clips, (B, 3, T, H,
                W) or B of (3, T, H, W); their B identities (None in a model
                without memory); and what else :meth:`step` takes, as
                sequences of B.
            bank (MemoryBank): Where the memories are.
            most (int, optional): Clips that pass the model at a time.
                Defaults to None: any number.

        Returns:
            list[list[tuple]]: For each step, lanes and what :meth:`step` gave
            for them, until all lanes are through.
        """
        results = []
        graph = self.bptt_clips or len(window)
        for first in range(0, len(window), graph):
            with bank.window():
                for clip in window[first:first + graph]:
                    step: Callable = self.step
                    # The last clip is the first of the backward pass: to
                    # recompute it would not save anything.
                    if (self.with_cp and torch.is_grad_enabled()
                            and len(results) < len(window) - 1):
                        step = partial(checkpoint, step, use_reentrant=False)
                    results.append(self._run_step(step, bank, most, *clip))
        return results

    def _run_step(self, step: Callable, bank: MemoryBank, most: Optional[int],
                  clips: Clips, identities: Optional[Sequence[ClipIdentity]],
                  *args: Sequence) -> List[Tuple[List[int], Any]]:
        """A clip of each lane, part by part."""
        parts = lanes_by_size(clips, most)
        if not self.with_memory:
            return [(lanes, step(_pick_clips(clips, lanes),
                                 *(_pick(arg, lanes) for arg in args))[0])
                    for lanes in parts]
        # All parts are read before the first is written: what a clip gives
        # does not depend on how the batch is divided.
        start = []
        for lanes in parts:
            part, who = _pick_clips(clips, lanes), _pick(identities, lanes)
            seconds = bank.elapsed(who)
            memory = bank.read(
                who, lambda num, part=part: self.init_memory(
                    num, part.shape[-2:]))
            start.append((lanes, part, who, memory, None if seconds is None
                          else on_device(torch.tensor(seconds), part)))
        results = []
        for lanes, part, who, memory, elapsed in start:
            out, memory = step(part, *(_pick(arg, lanes) for arg in args),
                               memory=memory, elapsed=elapsed)
            bank.write(who, memory, batch_size=len(clips))
            results.append((lanes, out))
        return results


def count_steps(clips: Sequence[ClipIdentity], max_gap: int) -> int:
    """How many clips in a row, K, a batch holds of each lane.

    The clips themselves tell, so that nobody has to. A batch in which none
    follows another is one step. Else the lanes are as many as can be without a
    stream that comes twice in a step; so every clip meets the memory that it
    would meet if the steps were batches. Lanes may change their streams, and
    clips be replaced, where they like.
    """
    last: Dict[tuple, ClipIdentity] = {}
    window = False
    for clip in clips:
        before = last.get(clip.stream)
        window |= before is not None and clip.follows(before, max_gap)
        last[clip.stream] = clip
    num = len(clips)
    for lanes in range(num if window else 0, 0, -1):
        if num % lanes == 0 and all(
                len({x.stream for x in clips[i:i + lanes]}) == lanes
                for i in range(0, num, lanes)):
            return num // lanes
    return 1


def remembers(part: Optional[nn.Module]) -> bool:
    """Whether a part of a model remembers, as it is configured."""
    init = getattr(part, 'init_memory', None)
    return init is not None and init(
        1, device=torch.device('meta')) is not None


def run_part(part: Callable, x: Any, memory: Memory,
             elapsed: Optional[Tensor], *args) -> Tuple[Any, Memory]:
    """Run a part that may remember; ``memory`` None: it does not."""
    if memory is None:
        return part(x, *args), None
    return part(x, *args, memory, elapsed)


def clip_identities(data_samples: Sequence,
                    num_views: int = 1) -> List[ClipIdentity]:
    """Which clip of which stream each sample is, views fastest.

    Samples have ``video_id``, ``timestamp`` (the clip's position) and, for
    models that keep time, ``start_seconds`` in their metainfo.
    """
    identities = []
    for sample in data_samples:
        missing = [key for key in ('video_id', 'timestamp')
                   if sample.get(key) is None]
        if missing:
            raise KeyError(
                f'a data sample has no {" and no ".join(missing)} in its '
                'metainfo, so the memory does not know its stream: use '
                'OnlineVideoDataset or OnlineAVADataset, and keep '
                "'video_id' and 'timestamp' in PackActionInputs' meta_keys")
        seconds = sample.get('start_seconds')
        identities += [
            ClipIdentity(sample.video_id, sample.timestamp, view, seconds)
            for view in range(num_views)]
    return identities


def _pick(batch: Sequence, lanes: Sequence[int]) -> list:
    return [batch[i] for i in lanes]


def _pick_clips(clips: Clips, lanes: Sequence[int]) -> Tensor:
    """Clips of some lanes, of one size, as a batch."""
    if torch.is_tensor(clips):  # and its lanes are neighbours
        return clips[lanes[0]:lanes[-1] + 1]
    return torch.stack(_pick(clips, lanes))


def lanes_by_size(clips: Clips, most: Optional[int] = None) -> List[List[int]]:
    """Lanes that can be one batch: of equal frame size, ``most`` at most."""
    groups = defaultdict(list)
    for i, clip in enumerate(clips):
        groups[tuple(clip.shape)].append(i)
    most = most or len(clips)
    return [lanes[i:i + most] for lanes in groups.values()
            for i in range(0, len(lanes), most)]
