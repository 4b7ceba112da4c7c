# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The rows of a board: trained, tested, measured, and kept in files."""
import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import torch
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.runner import CheckpointLoader, load_checkpoint

from mmaction_memvit.apis import (
    measure_temporal_support,
    theoretical_support,
)
from mmaction_memvit.models.checkpoints.measure import Fit

from .board import (
    Board,
    Row,
    find_file,
    fingerprint,
    load_config,
    stat_of,
)
from .costs import feature_channels
from .runs import Bench, Group, describe
from .sampling import sampling_of, vectors_of
from .subjects import ConfigSubject

# To be raised when costs are counted otherwise, or more is kept of them.
COSTS = 3
TOOLS = Path(__file__).resolve().parents[2]


class Entry:
    """A row of a board, what is known of it, and where that is kept.

    ``folder`` is where the board is, ``out`` where results go; ``error`` says
    why something failed, ``result`` is what is known.
    """

    def __init__(self, board: Board, row: Row, folder: str, out: Path) -> None:
        self.board, self.row, self.out = board, row, out
        self.error: Optional[str] = None
        self.result: Dict[str, Any] = {}
        self.checkpoint: Optional[str] = None
        if row.checkpoint:
            self.checkpoint = find_file(row.checkpoint, folder)
        self.file = out / 'rows' / f'{row.slug}.json'
        self.kept: Dict[str, dict] = {}
        if self.file.exists():
            self.kept = json.loads(self.file.read_text())
        self.cfg: Optional[Config] = None
        self.attempt(lambda: setattr(
            self, 'cfg', load_config(board, row, folder)))
        self.text = self.cfg.to_dict() if self.cfg else None

    def attempt(self, work: Callable[[], object]) -> None:
        """Does something, if nothing failed; notes why it fails."""
        if self.error is None:
            try:
                work()
            except Exception as e:  # noqa: BLE001
                self.fail(str(e) if 'Remedy' in str(e) else describe(e))

    def fail(self, why: str) -> None:
        """Notes why something fails, the first time."""
        if self.error is None:
            self.error = why
            print(f'{self.row.name} failed: {why}', flush=True)

    def recall(self, part: str, *parts: object) -> Optional[dict]:
        """What is kept of a part, if it is of the same circumstances."""
        kept = self.kept.get(part, {})
        return kept.get('value') if kept.get('of') == fingerprint(
            *parts) else None

    def keep(self, part: str, value: dict, *parts: object) -> dict:
        """Keeps what was found out, at once."""
        self.kept[part] = dict(of=fingerprint(*parts), value=value)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(self.kept, indent=1))
        return value

    def once(self, part: str, work: Callable[[], dict],
             *parts: object) -> None:
        """Adds what is kept, or else found out, to the results."""
        found = self.recall(part, *parts)
        if found is None:
            found = self.keep(part, work(), *parts)
        self.result.update(found)

    # -- costs --------------------------------------------------------------

    @cached_property
    def vectors(self) -> Optional[int]:
        """int: vectors of a clip over features whose data are there."""
        return vectors_of(self.cfg) if feature_channels(
            self.cfg.model) else None

    def subject(self) -> ConfigSubject:
        """The model, with clips of noise."""
        cfg = copy.deepcopy(self.cfg)
        # Its clips come as a batch, not as views of one video.
        (cfg.model.get('test_cfg') or {}).pop('max_testing_views', None)
        return ConfigSubject(cfg, 'eager', self.board.size)

    def cost(self) -> None:
        """Parameters, multiply-adds and seconds that can matter."""
        board, row = self.board, self.row
        seconds = row.seconds or board.seconds

        def work() -> dict:
            subject = self.subject()
            model = subject.model
            seen = sampling_of(self.cfg, subject.flat, board.fps, seconds)
            macs = subject.giga_macs()
            clips = theoretical_support(model, subject.vectors)
            context = seen.seconds
            if clips and context and seen.stride_seconds:
                context += clips * seen.stride_seconds
            return dict(
                params_m=sum(p.numel() for p in model.parameters()) / 1e6,
                gmacs_clip=macs, context=context, clip=subject.clip,
                sampling=seen._asdict(), support_clips=clips)

        self.once('cost', work, COSTS, self.text, board.size, board.fps,
                  seconds, self.vectors)
        seen = self.result['sampling']
        if seen['whole']:
            self.result['gmacs_video'] = (
                self.result['gmacs_clip'] * seen['views'])

    # -- accuracy -----------------------------------------------------------

    def trained(self, start: Optional[str] = None) -> Optional[dict]:
        """What is kept of its training, if that was of this config."""
        kept = self.recall('train', self.text, stat_of(start))
        there = kept is not None and os.path.exists(kept['checkpoint'])
        return kept if there else None

    def train(self, start: Optional[str] = None) -> None:
        """Trains the model by tools/train.py, unless it was."""
        kept = self.trained(start)
        if kept is None:
            of = self.text, stat_of(start)
            name = f'{self.row.slug}-{fingerprint(*of)[:6]}'
            work_dir = self.out / 'train' / name
            more = ['--cfg-options', f'load_from={start}'] if start else []
            minutes = self.tool('train', work_dir, '--resume', *more)
            last = (work_dir / 'last_checkpoint').read_text().strip()
            kept = self.keep(
                'train', dict(checkpoint=last, train_minutes=minutes), *of)
        self.result.update(kept)
        self.checkpoint = kept['checkpoint']

    def test(self) -> None:
        """The measures of the config's evaluator, by tools/test.py."""
        if '://' not in self.checkpoint and not os.path.isfile(
                self.checkpoint):
            raise FileNotFoundError(
                f'checkpoint {self.checkpoint}: no such file. Remedy: correct '
                'its path, or set train: true')

        def work() -> dict:
            self.check_checkpoint()
            work_dir = self.out / 'test' / self.row.slug
            self.tool('test', work_dir, self.checkpoint)
            files = sorted(work_dir.glob('*/*.json'))
            measures = json.loads(files[-1].read_text())
            return dict(measures={k: v for k, v in measures.items()
                                  if '/' in k}, **self.samples_a_video())

        self.once('test', work, self.text, stat_of(self.checkpoint))
        measures = self.result['measures']
        if self.board.metric not in measures:
            raise ValueError(
                f'its evaluator gives no {self.board.metric!r}. Remedy: set '
                f'the metric of the board to one of {", ".join(measures)}')
        self.result['accuracy'] = measures[self.board.metric]
        views = self.result['sampling']['views']
        self.result['gmacs_video'] = (self.result['gmacs_clip'] * views *
                                      self.result['samples_a_video'])

    def check_checkpoint(self) -> None:
        """Raises a ValueError if a weight of the model is not in it."""
        model = self.subject().model
        state = CheckpointLoader.load_checkpoint(
            self.checkpoint, map_location='cpu')
        fit = Fit(model, state.get('state_dict', state))
        load_checkpoint(model, self.checkpoint, map_location='cpu')
        fit.finish()
        if fit.missing and not self.cfg.get('any_checkpoint_fits'):
            raise ValueError(
                f'checkpoint {fit.sentence()}. Remedy: name a checkpoint that '
                'was trained with this config')

    def samples_a_video(self) -> dict:
        """How many clips, or segments, of a video are scored."""
        dataset = DATASETS.build(self.cfg.test_dataloader.dataset)
        videos = getattr(dataset, 'video_ids', None)
        number = len(dataset) / len(videos) if videos else 1
        return dict(samples_a_video=number)

    def tool(self, name: str, work_dir: Path, *args: object) -> float:
        """Runs tools/NAME.py on the config, logs to NAME.log; CPU minutes."""
        work_dir.mkdir(parents=True, exist_ok=True)
        config = work_dir / 'config.py'
        self.cfg.dump(str(config))
        env = dict(os.environ)
        if self.board.threads:
            env['OMP_NUM_THREADS'] = str(self.board.threads)
        log = work_dir / f'{name}.log'
        print(f'{self.row.name}: {name} ({log})', flush=True)
        with log.open('w') as file:
            process = subprocess.Popen([
                sys.executable, str(TOOLS / f'{name}.py'), str(config),
                *map(str, args), '--work-dir', str(work_dir)
            ], env=env, stdout=file, stderr=subprocess.STDOUT)
            _, code, used = os.wait4(process.pid, 0)
            process.returncode = code
        if code:
            lines = [x for x in log.read_text().splitlines() if x.strip()]
            told = [x for x in lines if re.match(r'\w*(Error|ERROR)\b', x)]
            raise RuntimeError(f'{(told or lines or ["nothing"])[-1][:300]} '
                               f'(see {log})')
        return (used.ru_utime + used.ru_stime) / 60

    def support(self) -> None:
        """The used temporal support of a trained model, in seconds."""
        seen, board = self.result['sampling'], self.board
        if not seen['streams']:
            return
        clips = 0
        if self.result['support_clips']:

            def work() -> dict:
                found = measure_temporal_support(
                    copy.deepcopy(self.cfg), self.checkpoint,
                    board.support_clips)
                return dict(used_clips=found.used())

            self.once('support', work, self.text, stat_of(self.checkpoint),
                      board.support_clips)
            clips = self.result['used_clips']
        self.result['used_context'] = (
            seen['seconds'] + clips * seen['stride_seconds'])


# -- speed ------------------------------------------------------------------


def groups_of(board: Board) -> Dict[str, Group]:
    """What is timed: one clip, a filled batch, a training step."""
    return dict(one=Group('infer', 'fp32', 1),
                filled=Group('infer', 'fp32', board.batch_size),
                train=Group('train', 'fp32', board.batch_size))


def time_rows(entries: Sequence[Entry], first: Entry,
              device: torch.device) -> None:
    """Times models in turn, round after round, and what they hold.

    Those that were not timed yet run beside one, the first of the board, to
    which ratios are: what else the machine does meets all alike.
    """
    board = first.board
    entries = [x for x in entries if x.error is None]
    of = {
        id(x): (x.text['model'], x.text.get('train_dataloader'), first.text
                and first.text['model'], board.size, board.batch_size,
                str(device), board.threads, x.vectors) for x in entries}
    new = [x for x in entries if x.recall('speed', *of[id(x)]) is None]
    if new:
        print(f'{len(new)} of {len(entries)} models are timed', flush=True)
        running = [first, *(x for x in new if x is not first)]
        for entry, found in zip(running, _time(board, running, device)):
            if entry in new and entry.error is None:
                entry.keep('speed', found, *of[id(entry)])
    for entry in entries:
        entry.result.update(entry.recall('speed', *of[id(entry)]) or {})


def _time(board: Board, entries: List[Entry],
          device: torch.device) -> List[dict]:
    """Speed and memory of each."""
    bench = Bench((), device, profile=False)
    for entry in entries:
        bench.put(entry.row.name, 'eager', entry.subject)
    known = {x.row.name: x for x in entries}
    found: Dict[str, dict] = {name: {} for name in known}
    for kind, group in groups_of(board).items():
        for row in bench.rows(group, board.rounds):
            name = row['model']
            if 'error' in row:
                known[name].fail(row['error'])
                continue
            rate, peak = row['clips_per_second'], row['peak_mib']
            if device.type == 'cpu' and peak is not None:
                # Beside what a step holds: weights, and their gradients.
                peak += sum(
                    p.nbytes * (2 if kind == 'train' and p.requires_grad else
                                1) for p in bench.subjects[
                                    name, 'eager'].model.parameters()) / 2**20
            found[name].update(dict(
                one=dict(seconds_clip=1 / rate),
                filled=dict(clips_per_second=rate, peak_mib=peak,
                            ratio=row['ratio']),
                train=dict(train_clips_per_second=rate, train_peak_mib=peak),
            )[kind])
    return list(found.values())
