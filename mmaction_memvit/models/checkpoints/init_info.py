# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""How a model was initialised, in a few lines of the log."""
import functools
from collections import Counter

from mmengine.model import BaseModule

from mmaction_memvit.messages import log

from .loading import is_ours


def shorten_init_info() -> None:
    """Groups what MMEngine writes of each parameter of a model, in 4 lines.

    Of models with a part of this package, for which that is more than half of
    the log of a short run.
    """
    original = BaseModule._dump_init_info
    if hasattr(original, '__wrapped__'):
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

    BaseModule._dump_init_info = dump
