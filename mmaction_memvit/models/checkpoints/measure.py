# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What of a model a checkpoint has given, in numbers and in one sentence."""
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Dict, List, Set

from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from mmaction_memvit.messages import first_names, tool

State = Dict[str, Tensor]
_files = WeakIdKeyDictionary()
_last_file: List[str] = []


def remember_file(checkpoint: Any, file: str) -> None:
    """Keeps in mind from which file the tensors of a checkpoint are."""
    _last_file[:] = [str(file)]
    if isinstance(checkpoint, dict):
        for value in checkpoint.get('state_dict', checkpoint).values():
            if isinstance(value, Tensor):
                _files[value] = str(file)


def file_of(state: State) -> str:
    """The file that a state dict was read from, 'the checkpoint' if unknown.

    One without any tensor is taken for the file that was read last.
    """
    tensors = [v for v in state.values() if isinstance(v, Tensor)]
    known = [_files[v] for v in tensors if v in _files]
    return (known or ([] if tensors else _last_file) or ['the checkpoint'])[0]


def memory_weights(model: nn.Module) -> Set[str]:
    """Names of the parameters and buffers that serve memory alone.

    A module names its own by an attribute ``memory_weights``, a regular
    expression that is looked for in them ('' is all).
    """
    names = list(model.state_dict())
    found = set()
    for prefix, module in model.named_modules():
        pattern = getattr(module, 'memory_weights', None)
        if pattern is not None:
            start = prefix and f'{prefix}.'
            found.update(x for x in names if x.startswith(start)
                         and re.search(pattern, x[len(start):]))
    return found


def _in_parts(names: List[str]) -> str:
    """How many there are, of which parts, and the first names."""
    counts = Counter(k.split('.')[0] for k in names)
    text = f'{len(names)}'
    if len(counts) > 1:
        text += ' (' + ', '.join(f'{n} in {k}'
                                 for k, n in counts.most_common(4)) + ')'
    return f'{text}, {first_names(names)}'


class Fit:
    """Follows one load of a state dict into a model.

    What was written into is what was loaded, whatever hooks made of the state
    dict on its way.
    """

    def __init__(self, model: nn.Module, state: State) -> None:
        self.name = type(model).__name__
        self.state = state
        # Old checkpoints do not count batches.
        self.own = {k: v for k, v in model.state_dict(keep_vars=True).items()
                    if isinstance(v, Tensor)
                    and not k.endswith('num_batches_tracked')}
        self.memory = memory_weights(model)
        self.file = file_of(state)
        self.notes: List[str] = []
        self.used: Set[str] = set()
        self._versions = {k: v._version for k, v in self.own.items()}

    @property
    def has_backbone(self) -> bool:
        """Whether it has weights of a backbone, if the model needs any."""
        start = 'backbone.'
        return (any(k.startswith(start) for k in self.state)
                or not any(k.startswith(start) for k in self.own))

    def finish(self) -> None:
        """See what the load has changed."""
        self.loaded = {k for k, v in self.own.items()
                       if v._version != self._versions[k]}
        self.missing = [k for k in self.own if k not in self.loaded]

    def share(self, prefix: str) -> float:
        """Share of the numbers that were loaded, memory apart.

        Of names that begin with ``prefix``; of all if there are none.
        """
        names = [k for k in self.own if k not in self.memory]
        names = [k for k in names if k.startswith(prefix)] or names
        return (self._size(self.loaded.intersection(names)) /
                max(self._size(names), 1))

    def _size(self, names: Iterable[str]) -> int:
        return sum(self.own[k].numel() for k in names)

    def sentence(self) -> str:
        """What fits and what does not."""
        sizes = self._size(self.loaded), self._size(self.own)
        unit = 'parameters'
        if sizes[1] > 1e5:
            sizes, unit = (f'{x / 1e6:.2f}' for x in sizes), 'M parameters'
        parts = [
            f'{self.file}: {len(self.loaded)} of the {len(self.own)} tensors '
            f'of the {self.name} are in it, {" of ".join(map(str, sizes))} '
            f'{unit}']
        rest = [k for k in self.missing if k not in self.memory]
        other = [k for k in rest if k in self.state]
        for title, names in (
            ('memory that starts anew',
             [k for k in self.missing if k in self.memory]),
            ('not in it', [k for k in rest if k not in self.state]),
            ('of another shape in it', [
                f'{k} {tuple(self.state[k].shape)}, here '
                f'{tuple(self.own[k].shape)}' for k in other
            ]), ('of it, not used', self.unused())):
            if names:
                parts.append(f'{title}: {_in_parts(names)}')
        return '; '.join(parts + self.notes)

    def unused(self) -> List[str]:
        """Names of the checkpoint that the model does not have."""
        return [k for k in self.state if k not in self.own
                and k not in self.used
                and not k.endswith('num_batches_tracked')]

    def remedy(self) -> str:
        """What may be wrong with a checkpoint that does not fit."""
        if 'model_state' in self.state or any(
                k.endswith('patch_embed.proj.weight') for k in self.state):
            return (f'convert released weights first, by '
                    f'{tool("convert_memvit.py")} SRC DST')
        for prefix in ('backbone.', 'module.', 'model.'):
            if any(f'{prefix}{k}' in self.own for k in self.state):
                return (f'its names must begin with {prefix!r}; weights of a '
                        "backbone are for the backbone's init_cfg")
            cut = len(prefix)
            if any(k[cut:] in self.own for k in self.state
                   if k.startswith(prefix)):
                return (f'its names begin with {prefix!r}, so add '
                        f'prefix={prefix!r} to the init_cfg, or load it into '
                        'the whole model')
        if self.loaded and not self.has_backbone:
            return ('it was trained over features: name the weights of their '
                    "backbone, model.init_cfg=dict(type='Pretrained', "
                    'checkpoint=...)')
        return ('use the checkpoint with the config that it was trained with, '
                'which lies in the folder of its run')
