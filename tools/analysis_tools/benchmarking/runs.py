# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Models in one mode, dtype and batch size, timed in turn."""
import statistics
import time
from contextlib import nullcontext
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmaction_memvit.models.recognizers.cuda_graph import copy_all
from mmaction_memvit.ops.constants import all_constants

from .counting import (
    OperatorCounter,
    ceiling,
    device_work,
    peak_bytes,
    saved_bytes,
    synchronisations,
    tensors_of,
)
from .subjects import Subject, build_subject, short_name

DTYPES = dict(fp32=torch.float32, bf16=torch.bfloat16, fp16=torch.float16)
# Milliseconds of a turn of a model on a GPU.
TURN = 40
WARM_UP = 3


class Group(NamedTuple):
    """What models are compared in."""

    mode: str  # 'infer' or 'train'
    dtype: str  # 'fp32', or that of autocast
    batch_size: int  # clips, or videos with several clips

    def __str__(self) -> str:
        mode = dict(infer='inference', train='training step')[self.mode]
        return f'{mode}, {self.dtype}, batch size {self.batch_size}'


def clock(step: Callable[[], object], steps: int, cuda: bool = False) -> float:
    """Milliseconds a step, on a GPU by its own events."""
    if not cuda:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        return (time.perf_counter() - start) * 1e3 / steps
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(steps):
        step()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / steps


class Run:
    """A model on its device, ready to be stepped along a stream.

    ``peak`` are MiB on a GPU of weights and a step; on a CPU None, as
    :meth:`facts` tells those of activations.
    """

    def __init__(self, subject: Subject, group: Group,
                 device: torch.device) -> None:
        self.subject, self.group, self.device = subject, group, device
        self.cuda = device.type == 'cuda'
        self.train = group.mode == 'train'
        subject.model.train(self.train)
        self.optimizer = torch.optim.SGD(
            subject.model.parameters(), 1e-6, momentum=0.9)
        before = torch.cuda.memory_allocated() if self.cuda else 0
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        with self.autocast():
            self.state = subject.make(group.batch_size, device)
        self.call = self.step
        if subject.how == 'graph' and hasattr(self.state, 'memory'):
            self.call = self.capture()
        else:
            for _ in range(WARM_UP):
                self.step()
        self.peak = None
        if self.cuda:
            torch.cuda.synchronize()
            own = sum(p.nbytes for p in subject.model.parameters())
            self.peak = (torch.cuda.max_memory_allocated() - before +
                         own) / 2**20

    def autocast(self) -> object:
        """Context of the group's dtype."""
        if self.group.dtype == 'fp32':
            return nullcontext()
        return torch.autocast(self.device.type, dtype=DTYPES[self.group.dtype],
                              cache_enabled=self.subject.how != 'graph')

    def forward(self) -> Tensor:
        """Loss or scores of the stream's next clips."""
        with self.autocast():
            return self.subject.forward(self.state, self.train)

    def step(self) -> None:
        """One step of inference or training, the optimizer's included."""
        if not self.train:
            with torch.no_grad():
                self.out = self.forward()
            return
        self.optimizer.zero_grad(set_to_none=True)
        out = self.forward()
        out.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.out = out.detach()

    def capture(self) -> Callable[[], None]:
        """The step as a CUDA graph, the memory in static buffers."""
        memory = self.state.memory
        # The graph reads and writes them for as long as it lives.
        self.own = own = list(tensors_of(memory))
        held = [x.clone() for x in own]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self.step()
                self.state.memory = memory
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step()
            # Entries move on by a place: none may be written before it is
            # read.
            spare = [torch.empty_like(x) for x in own]
            copy_all(spare, list(tensors_of(self.state.memory)))
            copy_all(own, spare)
        for old, x in zip(own, held):
            old.copy_(x)
        self.constants = all_constants()
        self.graph = graph
        return graph.replay

    def facts(self, profile: bool) -> Dict[str, Optional[float]]:
        """Operators, launches, synchronisations, memory of a step."""
        found = dict(peak_mib=self.peak, kept_mib=None, operators=None,
                     waits=None, launches=None, busy=None)
        if not self.cuda and self.train:
            found['kept_mib'] = saved_bytes(
                self.forward, self.subject.model) / 2**20
            # Gradients of weights are there before.
            self.forward().backward()
            found['peak_mib'] = peak_bytes(
                lambda: self.forward().backward()) / 2**20
        elif not self.cuda:
            with torch.no_grad():
                found['peak_mib'] = peak_bytes(self.forward) / 2**20
        if self.subject.how == 'eager':
            with torch.set_grad_enabled(self.train), \
                    OperatorCounter() as counter:
                out = self.forward()
                if self.train:
                    out.backward()
            found.update(operators=counter.operators, waits=counter.waiting)
            if self.cuda:
                found['waits'] = synchronisations(self.call)
        if self.cuda and profile:
            work = device_work(self.call)
            found.update(launches=work.launches, busy=work.busy)
        return found


class Bench:
    """Models on a device, and the table of what they do.

    ``models`` are names, see :func:`build_subject`, with 'eager', 'compile' or
    'graph'; ratios are to the first, run eagerly. ``profile`` tells whether to
    look at launches on a GPU.
    """

    def __init__(self, models: Sequence[Tuple[str, str]], device: torch.device,
                 size: Optional[int] = None, profile: bool = True) -> None:
        self.device, self.profile = device, profile
        self.cuda = device.type == 'cuda'
        self.reference: Optional[str] = None
        self.subjects: Dict[tuple, Subject] = {}
        self.models: List[dict] = []
        self.ceilings: Dict[str, tuple] = {}
        self.errors: Dict[tuple, str] = {}
        for name, how in models:
            self.add(name, how, size)

    def add(self, name: str, how: str, size: Optional[int]) -> None:
        """Build a model, and tell its size."""

        def build() -> Subject:
            subject = build_subject(name, how, size)
            if all(x['model'] != short_name(name) for x in self.models):
                params = sum(p.numel() for p in subject.model.parameters())
                self.models.append(
                    dict(model=short_name(name), params_m=params / 1e6,
                         gmacs=None if how == 'compile' else
                         subject.giga_macs()))
            return subject

        self.put(short_name(name), how, build)

    def put(self, name: str, how: str, build: Callable[[], Subject]) -> None:
        """Take what is built; if it cannot be, remember why."""
        self.reference = self.reference or name

        def work() -> None:
            subject = build()
            subject.model.to(self.device)
            self.subjects[name, how] = subject

        self.attempt((name, how), work)

    def start(self, group: Group,
              only: Optional[Sequence[str]]) -> Dict[tuple, Run]:
        """The runs of a group; of those that fail the reason is kept."""
        runs = {}
        for key, subject in self.subjects.items():
            if only is not None and key[0] not in only:
                continue
            if key[1] == 'graph' and not self.cuda:
                self.errors[(*key, group)] = 'CUDA graphs need a GPU'
                continue
            run = self.attempt(
                (*key, group), Run, subject, group, self.device)
            if run is None:
                subject.model.zero_grad(set_to_none=True)
            else:
                runs[key] = run
        return runs

    def attempt(self, where: tuple, work: Callable, *args: object) -> object:
        """What work gives; if it fails None, and the reason is kept."""
        try:
            return work(*args)
        except Exception as error:  # noqa: BLE001
            self.errors[where] = describe(error)
            return None

    def measure(self, runs: Dict[tuple, Run], group: Group,
                rounds: int) -> Dict[tuple, List[float]]:
        """Milliseconds a step, round after round, of runs that do not fail.

        Those that do are taken out.
        """
        turns = dict.fromkeys(runs, 1)
        times: Dict[tuple, List[float]] = {key: [] for key in runs}
        for number in range(-1, rounds):
            for key in list(runs):
                took = self.attempt((*key, group), clock, runs[key].call,
                                    turns[key], self.cuda)
                if took is None:
                    runs.pop(key).subject.model.zero_grad(set_to_none=True)
                elif number >= 0:
                    times[key].append(took)
                elif self.cuda:
                    turns[key] = max(1, min(20, int(TURN / took)))
        return times

    def rows(self, group: Group, rounds: int,
             only: Optional[Sequence[str]] = None) -> List[dict]:
        """Measure all models in turn, or those of some names."""
        runs = self.start(group, only)
        times = self.measure(runs, group, rounds)
        rows = [self.attempt((*key, group), self.row, key, run, times[key])
                for key, run in runs.items()]
        rows = [x for x in rows if x is not None]
        del runs
        if self.cuda:
            torch.cuda.empty_cache()
        base = [x for x in rows
                if (x['model'], x['how']) == (self.reference, 'eager')]
        for row in rows:
            for new, old in (('ratio', 'clips_per_second'),
                             ('peak_ratio', 'peak_mib'),
                             ('kept_ratio', 'kept_mib')):
                known = base and base[0][old] and row[old]
                row[new] = row[old] / base[0][old] if known else None
        for (name, how, *where), error in self.errors.items():
            if not where or where[0] == group:
                rows.append(
                    dict(model=name, how=how, error=error, **group._asdict()))
        return rows

    def row(self, key: tuple, run: Run, times: List[float]) -> dict:
        """What is known of a run."""
        group, (name, how) = run.group, key
        milliseconds = statistics.median(times)
        clips = run.state.clips
        row = dict(
            model=name, how=how, **group._asdict(), clips=clips,
            ms=milliseconds, fastest_ms=min(times), slowest_ms=max(times),
            clips_per_second=1e3 * clips / milliseconds,
            finite=bool(torch.isfinite(run.out).all()))
        try:
            row.update(run.facts(self.profile))
        except Exception as error:  # noqa: BLE001
            row['note'] = describe(error)
        finally:
            run.subject.model.zero_grad(set_to_none=True)
        for known in ('peak_mib', 'kept_mib', 'operators'):
            row.setdefault(known, None)
        macs = next((x['gmacs'] for x in self.models if x['model'] == name),
                    None)
        if macs:
            # A backward pass computes twice what the forward pass does.
            passes = 3 if run.train else 1
            row['tflops'] = 2 * passes * macs * clips / milliseconds
            row['ceiling_share'] = row['tflops'] / self.ceiling(group.dtype)
        return row

    def ceiling(self, dtype: str) -> float:
        """TFLOP/s of a large matrix product."""
        if dtype not in self.ceilings:
            self.ceilings[dtype] = ceiling(
                self.device, DTYPES[dtype],
                lambda step, n: clock(step, n, self.cuda))
        return self.ceilings[dtype][1]


def describe(error: Exception) -> str:
    """One line of an error."""
    text = ' '.join(str(error).split())
    return f'{type(error).__name__}: {text[:200]}'
