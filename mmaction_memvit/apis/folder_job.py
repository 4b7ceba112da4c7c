# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""A trained model over many files: several at once, by several processes.

Files of like length are a group, which one process runs clip by clip as one
batch. Groups are the same whoever runs them, and whether or not the job was
interrupted; so are the batches, and with them the results, to the last digit.
"""
import hashlib
import json
import os
import os.path as osp
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import torch
from torch import nn

from mmaction_memvit.files import remove_parts, whole_file, write_failed
from mmaction_memvit.messages import check_whole
from mmaction_memvit.video.frames import Clock
from mmaction_memvit.video.index import earlier_index, update_index

from .clip_sources import FileClips
from .online_inferencer import OnlineInferencer
from .read_ahead import read_ahead
from .session import ClipPrediction, Session
from .video_group import VideoGroup


class Progress(NamedTuple):
    """How far a process has come."""
    clips: int = 0  # that it has run
    seconds: float = 0.  # of video, that these clips are a step on by
    waiting: float = 0.  # seconds that it has waited for frames
    running: float = 0.  # seconds that it has run the model and written
    saved: bool = False  # whether a restart would go on from here


class FolderJob:
    """Runs a model along many video files, and goes on after a kill.

    Writes, in ``out_dir``: ``clips/NAME.jsonl``, a line for each clip of a
    file as it is predicted; and once all is done ``results.jsonl``, all lines
    in the order of names, and ``failed.csv``, the files that could not be
    read, or not as a whole, with the reason. ``state`` is what a restart
    needs.

    Args:
        inferencer (OnlineInferencer): The model.
        out_dir (str): Folder, seen by all processes.
        batch_size (int): Files of a group. Defaults to 8.
        num_workers (int): Processes that decode ahead; 0 for none. Defaults
            to 4.
        save_every (float): Seconds from one saved state to the next: what a
            kill loses at most. Defaults to 30.
        boxes (Callable, optional): For detectors: gives, by the name of a
            file and its frames per second, what
            :meth:`OnlineInferencer.session` takes. Defaults to None.

    Raises:
        ValueError: If a detector gets no ``boxes``.
    """

    def __init__(self, inferencer: OnlineInferencer, out_dir: str,
                 batch_size: int = 8, num_workers: int = 4,
                 save_every: float = 30.,
                 boxes: Optional[Callable] = None) -> None:
        if boxes is None and inferencer.loader.takes_boxes:
            raise ValueError('a detector needs boxes: a table, or a detector '
                             'of persons')
        self.inferencer = inferencer
        self.out_dir = out_dir
        self.batch_size = check_whole('batch_size', batch_size)
        self.num_workers = check_whole('num_workers', num_workers, 0)
        self.save_every = save_every
        self.boxes = boxes
        self.plan: Optional[JobPlan] = None

    # -- planning -----------------------------------------------------------

    def prepare(self, videos: Mapping[str, str],
                num_processes: int = 1) -> 'JobPlan':
        """Decide who runs what; asked by one process, for all.

        Files that are new join a job that has begun; files that it has
        begun stay, asked for or not.

        Args:
            videos (Mapping): Paths by names, which may have folders.
            num_processes (int): Defaults to 1.

        Raises:
            ValueError: If ``out_dir`` holds the results of another model.
        """
        os.makedirs(self._path('state'), exist_ok=True)
        job = self._read_job()
        job['videos'].update(
            {name: osp.abspath(path) for name, path in videos.items()})
        known = {name for group in job['groups'] for name in group}
        index = self._index({name: path for name, path in job['videos'].items()
                             if name not in known})
        plan = self.inferencer.plan
        counts = {name: plan.num_clips(Clock(index[name]))
                  for name in job['videos'] if index[name]['num_frames']}
        # The longest first: files of one group end together.
        new = sorted(counts.keys() - known, key=lambda x: (-counts[x], x))
        job['groups'] += [new[i:i + self.batch_size]
                          for i in range(0, len(new), self.batch_size)]
        with whole_file(self._path('job.json'), 'w', encoding='utf-8') as f:
            json.dump(job, f)
        turns = [max(counts.get(x, 0) for x in group)
                 for group in job['groups']]
        starts = [
            turns[i] if state.get('done') else state.get('turn', 0)
            for i, state in enumerate(map(self._read_state, range(len(turns))))
        ]
        left = [sum(max(0, counts.get(x, 0) - start) for x in group)
                for group, start in zip(job['groups'], starts)]
        return JobPlan(job['videos'], job['groups'], counts, index, starts,
                       share_out(left, num_processes))

    def _index(self, videos: Mapping[str, str]) -> dict[str, dict]:
        """An index of all files, those in ``videos`` looked at."""
        path = self._path('index.json')
        index = earlier_index(path)
        update_index(index, videos, path, max(self.num_workers, 1))
        return index

    def _read_job(self) -> dict:
        path = self._path('job.json')
        config = self.inferencer.config
        own = fingerprint(
            self.inferencer.model, self.inferencer.plan.describe(),
            dict(config.model), list(config.test_dataloader.dataset.pipeline))
        if not osp.exists(path):
            return dict(model=own, videos={}, groups=[])
        with open(path, encoding='utf-8') as f:
            job = json.load(f)
        if job['model'] != own:
            raise ValueError(
                f'{self.out_dir} holds results of another config or '
                'checkpoint: name another folder, or remove this one')
        return job

    # -- running ------------------------------------------------------------

    def run(self, plan: 'JobPlan', rank: int = 0) -> Iterator[Progress]:
        """Run one process's share.

        Args:
            plan (JobPlan): From :meth:`prepare`, of any process.
            rank (int): Which of the processes this is. Defaults to 0.

        Yields:
            Progress: After each batch.
        """
        self.plan = plan
        turns = [x for number in plan.shares[rank] for x in plan.turns(number)]
        read = read_ahead(
            FileClips(self.inferencer.loader, plan.videos,
                      plan.index).read_clip,
            [[(name, turn) for name in names] for _, turn, names in turns],
            self.num_workers)
        group, clips, seconds, waiting, running = None, 0, 0., 0., 0.
        begin = saved = time.monotonic()
        for (number, turn, names), found in zip(turns, read):
            now = time.monotonic()
            waiting, begin = waiting + now - begin, now
            if group is None or group.number != number:
                group = VideoGroup(self, number, plan.groups[number])
                group.load(self._read_state(number), turn)
            steps = group.step(turn, dict(zip(names, found)))
            clips += len(steps)
            seconds += sum(self._advance(*x) for x in steps)
            now = time.monotonic()
            ends = turn + 1 >= max(plan.counts_of(number).values())
            is_saved = ends or now - saved > self.save_every
            if is_saved:
                group.save(turn + 1, ends)
                saved = now = time.monotonic()
            running, begin = running + now - begin, now
            yield Progress(clips, seconds, waiting, running, is_saved)

    def _advance(self, session: Session, step: ClipPrediction) -> float:
        """Seconds that a clip brings its video on."""
        plan = self.inferencer.plan
        start = plan.start_seconds(step.clip, session.clock)
        following = plan.start_seconds(step.clip + 1, session.clock)
        return min(following, session.clock.end) - start

    # -- files --------------------------------------------------------------

    def _path(self, *parts: str) -> str:
        return osp.join(self.out_dir, *parts)

    def clips_file(self, name: str) -> str:
        """Where the lines of a file go."""
        return self._path('clips', f'{name}.jsonl')

    def state_file(self, number: int) -> str:
        """Where the state of a group is."""
        return self._path('state', f'{number:06d}.pt')

    def _read_state(self, number: int) -> dict[str, Any]:
        path = self.state_file(number)
        if not osp.exists(path):
            return {}
        return torch.load(path, map_location='cpu', weights_only=True)

    def merge(self) -> Optional[list[str]]:
        """Write what is written once all processes are done.

        Whoever is the last finds all groups done: nobody waits for others.

        Returns:
            list[str] | None: The paths; None if others are still at work.
        """
        plan = self.plan
        states = [self._read_state(i) for i in range(len(plan.groups))]
        if not all(state.get('done') for state in states):
            return None
        failed = {name: entry.get('problem', 'no frames')
                  for name, entry in plan.index.items() if name in plan.videos
                  and ('problem' in entry or not entry['num_frames'])}
        for state in states:
            failed.update(state['failed'])
        paths = [self._path('results.jsonl'), self._path('failed.csv')]
        with whole_file(paths[0]) as f:
            for name in sorted(plan.counts):
                with open(self.clips_file(name), 'rb') as own:
                    shutil.copyfileobj(own, f)
        write_failed(paths[1], failed)
        remove_parts(self._path('state'))
        return paths


class JobPlan(NamedTuple):
    """Who runs what."""
    videos: Mapping[str, str]  # paths by names
    groups: Sequence[Sequence[str]]  # names
    counts: Mapping[str, int]  # clips of each file that can be read
    index: Mapping[str, dict]  # entries of an index by names
    starts: Sequence[int]  # clips of each group's files that are done
    shares: Sequence[Sequence[int]]  # for each process, numbers of groups

    def counts_of(self, number: int) -> dict[str, int]:
        """Clips of the files of a group."""
        return {x: self.counts.get(x, 0) for x in self.groups[number]}

    def turns(self, number: int) -> list[tuple[int, int, list[str]]]:
        """What is left of a group: its number, a clip's, and whose clips."""
        counts = self.counts_of(number)
        # A group without clips is done in a turn, too.
        return [(number, turn, [x for x, num in counts.items() if turn < num])
                for turn in range(self.starts[number],
                                  max(counts.values()) or 1)]

    def seconds_left(self, rank: int) -> float:
        """Of video, about, that are a process's share."""
        total = 0.
        for number in self.shares[rank]:
            for name, count in self.counts_of(number).items():
                left = max(0, count - self.starts[number])
                total += left and left / count * Clock(self.index[name]).end
        return total


def share_out(work: Sequence[int], num_processes: int) -> list[list[int]]:
    """Share out pieces of work, the largest first to who has least."""
    shares: list[list[int]] = [[] for _ in range(num_processes)]
    sums = [0] * num_processes
    for i in sorted(range(len(work)), key=lambda i: (-work[i], i)):
        least = sums.index(min(sums))
        shares[least].append(i)
        sums[least] += work[i]
    return shares


def fingerprint(model: nn.Module, *parts: Any) -> str:
    """What tells a model, and how it is used, from others."""
    found = hashlib.sha256(
        json.dumps(parts, sort_keys=True, default=str).encode())
    for name, x in sorted(model.state_dict().items()):
        found.update(name.encode())
        x = x.detach().cpu().contiguous().flatten()
        found.update(x.view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
