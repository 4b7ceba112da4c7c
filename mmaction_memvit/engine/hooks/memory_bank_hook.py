# Copyright (c) mmaction_memvit contributors. All rights reserved.
import time
from collections import Counter
from typing import Dict, Optional

from mmaction.registry import HOOKS
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmaction_memvit.datasets.samplers import StreamBatchSampler
from mmaction_memvit.memory import MemoryBank

from .run_log import describe_run, describe_time

# Fewer clips that should have continued a stream prove nothing: some may have
# taken the place of clips that could not be read.
_FEW_CLIPS = 5


class _Tally:
    """The clips that a mode has seen since its memory was cleared."""

    def __init__(self) -> None:
        # Lowest position of every video.
        self.firsts: Optional[Dict[str, int]] = None
        self.clear()

    def clear(self) -> None:
        self.start = time.perf_counter()
        self.num_steps = 0
        self.num_clips = 0
        # Clips other than the first of their video.
        self.num_later = 0


@HOOKS.register_module()
class MemoryBankHook(Hook):
    """Clears memory banks at borders and says how streams fared.

    Training memory is cleared before every epoch, that of validation and
    testing before each of them. Before a run the log tells its data, lanes
    and memory; after each epoch how many clips continued a stream, how many
    could not be read, on all processes together, and what it took. The share
    of continued clips is a scalar, ``continued``, too, beside the losses in
    TensorBoard and MMEngine's other visualizers.

    If the data loader tore the streams apart, an error names the sampler: no
    clip followed another one of its video, or, with batches that are not from
    ``StreamBatchSampler``, less than two thirds of those that should have.

    Args:
        check_after (int): Iterations after which the streams are looked at
            for the first time. Defaults to 50.

    Raises:
        RuntimeError: In a run, if the streams are torn.
    """

    # Before loggers and checkpoints of the same moment.
    priority = 'ABOVE_NORMAL'

    def __init__(self, check_after: int = 50) -> None:
        self.check_after = check_after
        self._tallies = {mode: _Tally() for mode in ('train', 'val', 'test')}

    @staticmethod
    def _model(runner: Runner) -> object:
        model = runner.model
        return model.module if is_model_wrapper(model) else model

    @staticmethod
    def _loader(runner: Runner, mode: str) -> DataLoader:
        return getattr(runner, f'{mode}_dataloader')

    def _bank(self, runner: Runner, mode: str) -> Optional[MemoryBank]:
        model = self._model(runner)
        if not getattr(model, 'with_memory', False):
            return None
        return model.banks[mode]

    def _clear(self, runner: Runner, mode: str) -> None:
        bank = self._bank(runner, mode)
        if bank is not None:
            bank.clear()
        self._tallies[mode].clear()

    def _follow(self, runner: Runner, loader: DataLoader, mode: str,
                data_batch: Optional[dict]) -> None:
        """Count the clips of a step that should have continued a stream."""
        bank = self._bank(runner, mode)
        if bank is None or not data_batch:
            return
        tally = self._tallies[mode]
        if tally.firsts is None:
            tally.firsts = first_positions(loader)
        samples = data_batch['data_samples']
        for sample in samples:
            first = tally.firsts.setdefault(sample.video_id, sample.timestamp)
            tally.num_later += sample.timestamp > first
        tally.num_clips += len(samples)
        tally.num_steps += 1
        # Early, as a torn loader should not cost hours.
        if tally.num_steps == self.check_after:
            self._check(bank, loader, mode)

    def _check(self, bank: MemoryBank, loader: DataLoader, mode: str) -> None:
        tally = self._tallies[mode]
        if not tally.num_clips or tally.num_later < _FEW_CLIPS:
            return
        # The bank counts every view of a clip.
        continued = bank.num_continued * tally.num_clips / bank.num_clips
        sampler = loader.batch_sampler
        # Streams that this sampler cuts on purpose are in order all the same.
        least = (1 if isinstance(sampler, StreamBatchSampler) else
                 tally.num_later * 2 / 3)
        if continued >= least:
            return
        inner = type(getattr(sampler, 'sampler', None)).__name__
        raise RuntimeError(
            f'{continued:.0f} of {tally.num_later} clips of the {mode} data '
            'continued a stream, of those that are not the first of their '
            f'video: the batches come from {type(sampler).__name__} over '
            f'{inner}, which does not keep the clips of a video in order. Set '
            f"{mode}_dataloader's batch_sampler=dict(type="
            "'StreamBatchSampler'), or raise the recognizer's max_gap (now "
            f'{bank.max_gap}) if positions grow by more than that')

    def _report(self, runner: Runner, loader: DataLoader, mode: str) -> None:
        bank = self._bank(runner, mode)
        counts = getattr(loader.dataset, 'failure_counts', None)
        found = dict(failures=counts() if callable(counts) else {})
        if bank is not None:
            found.update(clips=bank.num_clips, continued=bank.num_continued,
                         not_finite=int(bank.num_not_finite))
        # Only one process writes the log.
        ranks = all_gather_object(found)
        total = Counter()
        failures = Counter()
        for rank in ranks:
            failures.update(rank.pop('failures'))
            total.update(rank)
        if total['clips']:
            share = total['continued'] / total['clips']
            runner.message_hub.update_scalar(f'{mode}/continued', share)
            parts = [f'{mode} memory: {total["continued"]} of '
                     f'{total["clips"]} clips ({share:.1%}) continued a '
                     'stream']
            if total['not_finite']:
                parts.append(f'{total["not_finite"]} lanes were not finite '
                             'and started anew')
            seconds = time.perf_counter() - self._tallies[mode].start
            parts.append(', '.join(describe_time(seconds, total['clips'])))
            runner.logger.info('; '.join(parts))
        if failures:
            runner.logger.warning(
                f'{mode} data: {sum(failures.values())} clips of '
                f'{len(failures)} videos could not be read so far and were '
                f'replaced; their streams started anew: '
                f'{", ".join(list(failures)[:5])}'
                f'{", ..." if len(failures) > 5 else ""}')
        if bank is not None:
            self._check(bank, loader, mode)

    def before_train(self, runner: Runner) -> None:
        """Say what is about to start, where nothing buries it any more."""
        runner.logger.info(describe_run(runner, self._model(runner), 'train'))
        if (self._bank(runner, 'train') is not None
                and runner.iter % len(self._loader(runner, 'train'))):
            runner.logger.warning(
                f'resumed after step {runner.iter}, inside an epoch: streams '
                'start with an empty memory, which a run that was not stopped '
                'would have; checkpoints of ends of epochs go on exactly')

    def before_test(self, runner: Runner) -> None:
        """Say what is about to start."""
        runner.logger.info(describe_run(runner, self._model(runner), 'test'))

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        """Start from an empty memory."""
        self._clear(runner, mode)
        if mode != 'train':
            self._model(runner).eval_mode = mode

    def _after_iter(self, runner: Runner, batch_idx: int,
                    data_batch: Optional[dict] = None,
                    outputs: Optional[object] = None,
                    mode: str = 'train') -> None:
        """Follow the streams."""
        self._follow(runner, self._loader(runner, mode), mode, data_batch)
        bank = self._bank(runner, mode)
        if mode == 'train' and bank is not None and bank.num_clips:
            # Of the epoch so far, on this process.
            runner.message_hub.update_scalar(
                'train/continued', bank.num_continued / bank.num_clips)

    def _after_epoch(self, runner: Runner, mode: str = 'train') -> None:
        """Say how the streams fared."""
        self._report(runner, self._loader(runner, mode), mode)
        if mode != 'train':
            # Also frees the memory.
            self._clear(runner, mode)
            self._model(runner).eval_mode = 'predict'


def first_positions(loader: DataLoader) -> Dict[str, int]:
    """The lowest position of every video, as far as the data set tells."""
    keys = getattr(loader.dataset, 'stream_keys', None)
    firsts: Dict[str, int] = {}
    for video, position in keys() if callable(keys) else ():
        firsts[video] = min(position, firsts.get(video, position))
    return firsts
