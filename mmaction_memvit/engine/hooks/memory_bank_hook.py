# Copyright (c) mmaction_memvit contributors. All rights reserved.
import time
from collections import Counter
from typing import Optional

from mmaction.registry import HOOKS
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmaction_memvit.memory import MemoryBank
from mmaction_memvit.messages import warn_once

from .run_log import describe_run, describe_time


@HOOKS.register_module()
class MemoryBankHook(Hook):
    """Clears memory banks at borders and says how streams fared.

    Training memory is cleared before every epoch, that of validation and
    testing before each of them. Before a run the log tells its data, lanes
    and memory; after each epoch how many clips continued a stream, how many
    could not be read, on all processes together, and what it took. The share
    of continued clips is a scalar, ``continued``, too, beside the losses in
    TensorBoard and MMEngine's other visualizers.

    Data loaders that tear streams apart are found by the preflight, before the
    first step.
    """

    # Before loggers and checkpoints of the same moment.
    priority = 'ABOVE_NORMAL'

    def __init__(self, check_after: Optional[int] = None) -> None:
        if check_after is not None:
            warn_once(f'check_after={check_after} has no effect any more: '
                      'data loaders are checked before the first step. '
                      'Remedy: leave it out')
        self._starts = dict.fromkeys(('train', 'val', 'test'), 0.)

    @staticmethod
    def _model(runner: Runner) -> object:
        model = runner.model
        return model.module if is_model_wrapper(model) else model

    def _bank(self, runner: Runner, mode: str) -> Optional[MemoryBank]:
        model = self._model(runner)
        if not getattr(model, 'with_memory', False):
            return None
        return model.banks[mode]

    def _clear(self, runner: Runner, mode: str) -> None:
        bank = self._bank(runner, mode)
        if bank is not None:
            bank.clear()
        self._starts[mode] = time.perf_counter()

    def _report(self, runner: Runner, mode: str) -> None:
        bank = self._bank(runner, mode)
        dataset = getattr(runner, f'{mode}_dataloader').dataset
        counts = getattr(dataset, 'failure_counts', None)
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
            seconds = time.perf_counter() - self._starts[mode]
            parts.append(', '.join(describe_time(seconds, total['clips'])))
            runner.logger.info('; '.join(parts))
        if failures:
            runner.logger.warning(
                f'{mode} data: {sum(failures.values())} clips of '
                f'{len(failures)} videos could not be read so far and were '
                f'replaced; their streams started anew: '
                f'{", ".join(list(failures)[:5])}'
                f'{", ..." if len(failures) > 5 else ""}')

    def before_train(self, runner: Runner) -> None:
        """Say what is about to start, where nothing buries it any more."""
        runner.logger.info(describe_run(runner, self._model(runner), 'train'))

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
        """Say how the epoch's streams fare so far, on this process."""
        bank = self._bank(runner, mode)
        if mode == 'train' and bank is not None and bank.num_clips:
            runner.message_hub.update_scalar(
                'train/continued', bank.num_continued / bank.num_clips)

    def _after_epoch(self, runner: Runner, mode: str = 'train') -> None:
        """Say how the streams fared."""
        self._report(runner, mode)
        if mode != 'train':
            # Also frees the memory.
            self._clear(runner, mode)
            self._model(runner).eval_mode = 'predict'
