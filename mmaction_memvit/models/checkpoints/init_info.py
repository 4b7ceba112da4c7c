# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What MMEngine logs of every parameter, in a few lines.

It writes two or three lines each, of a MeMViT-16 more than 1,000: how they
were initialised and what ``paramwise_cfg`` makes of them. Here they are
grouped, in models with a part of this package.
"""
from collections import Counter
from collections.abc import Callable
from logging import LogRecord

from mmengine.logging import MMLogger
from mmengine.model import BaseModule, is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn

from mmaction_memvit.compat.wrap import around
from mmaction_memvit.messages import log

from .loading import is_ours


@around(BaseModule, '_dump_init_info')
def dump_init_info(original: Callable, self: BaseModule) -> None:
    """Groups how parameters were initialised."""
    if not is_ours(self):
        original(self)
        return
    ways = Counter(' '.join(self._params_init_info[p]['init_info'].split())
                   for p in self.parameters())
    rows = [f'  {num} by {way}' for way, num in ways.most_common()]
    log('\n'.join([f'{sum(ways.values())} parameters of the '
                   f'{type(self).__name__} initialised:', *rows]))


@around(DefaultOptimWrapperConstructor, '__call__')
def construct(original: Callable, self: DefaultOptimWrapperConstructor,
              model: nn.Module) -> OptimWrapper:
    """Groups what ``paramwise_cfg`` makes of parameters."""
    if not is_ours(model.module if is_model_wrapper(model) else model):
        return original(self, model)
    options: Counter = Counter()

    def group(record: LogRecord) -> bool:
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
