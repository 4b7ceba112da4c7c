# Copyright (c) mmaction_memvit contributors. All rights reserved.
from typing import Optional

from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmaction_memvit.structures import MemoryBank


@HOOKS.register_module()
class MemoryBankHook(Hook):
    """Clears memory banks at borders and says how streams fared.

    Training memory is cleared before every epoch, that of validation and
    testing before each of them. After each, the log tells how many clips
    continued a stream. If none did although the videos have several clips,
    the data loader tore the streams apart: an error names the sampler.

    Args:
        check_after (int): Training iterations after which the streams are
            looked at for the first time. Defaults to 100.
    """

    # Before loggers and checkpoints of the same moment.
    priority = 'ABOVE_NORMAL'

    def __init__(self, check_after: int = 100) -> None:
        self.check_after = check_after

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

    def _check(self, bank: MemoryBank, loader: DataLoader,
               mode: str) -> None:
        if bank.num_continued or not bank.num_clips or not has_streams(
                loader):
            return
        sampler = loader.batch_sampler
        inner = type(getattr(sampler, 'sampler', None)).__name__
        raise RuntimeError(
            f'none of {bank.num_clips} clips of the {mode} data continued a '
            f'stream: the batches come from {type(sampler).__name__} over '
            f'{inner}, which does not keep the clips of a video in order. Set '
            f"{mode}_dataloader's batch_sampler=dict(type="
            "'StreamBatchSampler'), or raise the recognizer's max_gap (now "
            f'{bank.max_gap}) if positions grow by more than that')

    def _report(self, runner: Runner, loader: DataLoader, mode: str) -> None:
        bank = self._bank(runner, mode)
        if bank is not None and bank.num_clips:
            text = (f'{mode} memory: {bank.num_continued} of '
                    f'{bank.num_clips} clips '
                    f'({bank.num_continued / bank.num_clips:.1%}) continued '
                    'a stream')
            not_finite = int(bank.num_not_finite)
            if not_finite:
                text += (f'; {not_finite} lanes were not finite and started '
                         'anew')
            runner.logger.info(text)
            self._check(bank, loader, mode)
        counts = getattr(loader.dataset, 'failure_counts', None)
        failures = counts() if callable(counts) else None
        if failures:
            runner.logger.warning(
                f'{mode} data: {sum(failures.values())} clips of '
                f'{len(failures)} videos could not be read so far and were '
                f'replaced; their streams started anew: '
                f'{", ".join(list(failures)[:5])}'
                f'{", ..." if len(failures) > 5 else ""}')

    def before_train(self, runner: Runner) -> None:
        """Start with no memory."""
        self._clear(runner, 'train')

    def before_train_epoch(self, runner: Runner) -> None:
        """Forget the streams of the last epoch."""
        self._clear(runner, 'train')

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: Optional[dict] = None,
                         outputs: Optional[dict] = None) -> None:
        """Look at the streams early: a torn loader should not cost hours."""
        if batch_idx + 1 == self.check_after:
            bank = self._bank(runner, 'train')
            if bank is not None:
                self._check(bank, runner.train_dataloader, 'train')

    def after_train_epoch(self, runner: Runner) -> None:
        """Say how the streams fared."""
        self._report(runner, runner.train_dataloader, 'train')

    def _before_eval(self, runner: Runner, mode: str) -> None:
        self._clear(runner, mode)
        self._model(runner).eval_mode = mode

    def _after_eval(self, runner: Runner, loader: DataLoader,
                    mode: str) -> None:
        self._report(runner, loader, mode)
        # Also frees the memory.
        self._clear(runner, mode)
        self._model(runner).eval_mode = 'predict'

    def before_val_epoch(self, runner: Runner) -> None:
        """Validate from an empty memory of its own."""
        self._before_eval(runner, 'val')

    def after_val_epoch(self,
                        runner: Runner,
                        metrics: Optional[dict] = None) -> None:
        """Say how the streams fared."""
        self._after_eval(runner, runner.val_dataloader, 'val')

    def before_test_epoch(self, runner: Runner) -> None:
        """Test from an empty memory of its own."""
        self._before_eval(runner, 'test')

    def after_test_epoch(self,
                         runner: Runner,
                         metrics: Optional[dict] = None) -> None:
        """Say how the streams fared."""
        self._after_eval(runner, runner.test_dataloader, 'test')


def has_streams(loader: DataLoader) -> bool:
    """Whether a data set has videos of several clips, as far as it tells."""
    keys = getattr(loader.dataset, 'stream_keys', None)
    if not callable(keys):
        return True
    videos = [video for video, _ in keys()]
    return len(set(videos)) < len(videos)
