# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What MMEngine logs of every parameter, in a few lines."""
import functools
from collections import Counter

from mmengine.logging import MMLogger
from mmengine.model import BaseModule, is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor

from mmaction_memvit.messages import log

from .loading import is_ours


def shorten_init_info() -> None:
    """Groups the parameters of which MMEngine writes three lines each.

    Of models with a part of this package: half of the log before the first
    step, of a MeMViT-16 more than 1,000 lines.
    """
    original = BaseModule._dump_init_info
    if hasattr(original, 'is_short'):
        return

    @functools.wraps(original)
    def dump(self) -> None:
        if not is_ours(self):
            return original(self)
        ways = Counter(
            ' '.join(self._params_init_info[p]['init_info'].split())
            for p in self.parameters())
        rows = [f'  {num} by {way}' for way, num in ways.most_common()]
        log('\n'.join([f'{sum(ways.values())} parameters of the '
                       f'{type(self).__name__} initialised:', *rows]))

    dump.is_short = True
    BaseModule._dump_init_info = dump


def shorten_optimizer_options() -> None:
    """Groups the parameters of which ``paramwise_cfg`` writes two lines each.

    Of models with a part of this package.
    """
    original = DefaultOptimWrapperConstructor.__call__
    if hasattr(original, 'is_short'):
        return

    @functools.wraps(original)
    def construct(self, model):
        if not is_ours(model.module if is_model_wrapper(model) else model):
            return original(self, model)
        options: Counter = Counter()

        def group(record) -> bool:
            text = record.getMessage()
            if not text.startswith('paramwise_options -- '):
                return True
            options[text.rpartition(':')[2]] += 1
            return False

        logger = MMLogger.get_current_instance()
        logger.addFilter(group)
        try:
            result = original(self, model)
        finally:
            logger.removeFilter(group)
        if options:
            log('options of parameters: ' + ', '.join(
                f'{option} of {num}' for option, num in options.items()))
        return result

    construct.is_short = True
    DefaultOptimWrapperConstructor.__call__ = construct
