# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""How a model was initialised, in a few lines of the log."""
import functools
from collections import Counter

from mmengine.model import BaseModule

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
