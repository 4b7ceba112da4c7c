# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a part of a model remembers: plain data, never mutated.

A memory is any nesting of tuples, named tuples, lists, dicts and dataclasses.
Dimension 0 of every tensor in it counts lanes; whatever is no tensor holds for
all lanes. The functions here work on any of them, also within
``torch.compile(fullgraph=True)``, and always give a new object. A named tuple
gets them as methods by :func:`as_memory`, may replace ``reset`` and ``cat`` by
its own, and may tell by ``latest()`` what of it the last step has written::

    @as_memory
    class Recurrent(NamedTuple):
        hidden: Tensor      # (B, C)

    Recurrent(torch.zeros(2, 8)).reset(torch.tensor([True, False]))
"""
from typing import Any, Callable, Dict, List, Optional, Sequence, Union

import torch
from torch import Tensor

Memory = Any
Lanes = Union[Tensor, Sequence[int]]


def _descend(fn: Callable, first: Memory, *others: Memory) -> Memory:
    """Apply ``fn`` to the children of memories that are nested alike."""
    if isinstance(first, (tuple, list)):
        items = [fn(*xs) for xs in zip(first, *others)]
        if type(first) in (tuple, list):
            return type(first)(items)
        return type(first)(*items)
    if isinstance(first, dict):
        return {key: fn(x, *(other[key] for other in others))
                for key, x in first.items()}
    if hasattr(first, '__dataclass_fields__'):
        return type(first)(**{
            name: fn(*(getattr(x, name) for x in (first, *others)))
            for name in first.__dataclass_fields__})
    for other in others:
        if other != first:
            raise ValueError(
                f'memories of which one has {first!r} where another has '
                f'{other!r} cannot stand side by side: clips of one batch '
                'must have the same frame size')
    return first


def on_device(x: Tensor, like: Tensor) -> Tensor:
    """A small tensor where ``like`` is; an accelerator is not waited for."""
    return x.to(like.device, non_blocking=True)


def tree_map(fn: Callable[..., Tensor], memory: Memory,
             *others: Memory) -> Memory:
    """Apply ``fn`` to every tensor, or to those in the same places."""
    if isinstance(memory, Tensor):
        return fn(memory, *others)
    return _descend(lambda *xs: tree_map(fn, *xs), memory, *others)


def tensors(memory: Memory, latest: bool = False) -> List[Tensor]:
    """All tensors, or those that the last step has written."""
    if latest and isinstance(memory, tuple) and hasattr(memory, 'latest'):
        memory = memory.latest()
    found: List[Tensor] = []

    def visit(child: Memory) -> Memory:
        if isinstance(child, Tensor):
            found.append(child)
        else:
            found.extend(tensors(child, latest))
        return child

    if isinstance(memory, Tensor):
        return [memory]
    _descend(visit, memory)
    return found


def num_lanes(memory: Memory) -> int:
    """Number of lanes."""
    return tensors(memory)[0].shape[0]


def detach(memory: Memory) -> Memory:
    """The same memory without its graph."""
    return tree_map(lambda x: x.detach(), memory)


def to(memory: Memory, device: Optional[torch.device] = None,
       dtype: Optional[torch.dtype] = None) -> Memory:
    """The memory on a device; ``dtype`` is for floating point alone."""
    return tree_map(
        lambda x: x.to(device or x.device, dtype
                       if dtype and x.is_floating_point() else x.dtype),
        memory)


def reset(memory: Memory, lanes: Tensor) -> Memory:
    """Forget what some lanes hold: zeros, or False, there; NaN goes too.

    ``lanes`` is bool, (B, ), True where a new stream starts.
    """
    if isinstance(memory, tuple) and hasattr(memory, 'reset'):
        return memory.reset(lanes)
    return reset_tensors(memory, lanes)


def reset_tensors(memory: Memory, lanes: Tensor) -> Memory:
    """As :func:`reset`, of a memory that has none of its own."""
    zeros: Dict[torch.dtype, Tensor] = {}

    def clear(child: Memory) -> Memory:
        if isinstance(child, tuple) and hasattr(child, 'reset'):
            return child.reset(lanes)
        if not isinstance(child, Tensor):
            return _descend(clear, child)
        own = on_device(lanes, child).view(-1, *[1] * (child.dim() - 1))
        if child.dtype == torch.bool:
            # ONNX Runtime chooses between numbers only.
            return child & ~own
        if child.dtype not in zeros:
            zeros[child.dtype] = child.new_zeros(())
        return torch.where(own, zeros[child.dtype], child)

    return clear(memory) if isinstance(memory, Tensor) else _descend(
        clear, memory)


def select(memory: Memory, lanes: Lanes) -> Memory:
    """The memory of some lanes, in the given order, as a new batch."""
    index = on_device(torch.as_tensor(lanes), tensors(memory)[0])
    return tree_map(lambda x: x.index_select(0, index), memory)


def cat(memories: Sequence[Memory]) -> Memory:
    """Put the lanes of several memories side by side.

    They must agree in what holds for all lanes.
    """
    first = memories[0]
    if len(memories) == 1:
        return first
    if isinstance(first, tuple) and hasattr(first, 'cat'):
        return first.cat(memories)
    return cat_tensors(memories)


def cat_tensors(memories: Sequence[Memory]) -> Memory:
    """As :func:`cat`, of memories that have none of their own."""
    if isinstance(memories[0], Tensor):
        return torch.cat(tuple(memories))
    return _descend(lambda *xs: cat(xs), *memories)


def finite(memory: Memory) -> Tensor:
    """Which lanes are finite in what the last step has written, (B, ).

    What is older was looked at when it was new. The sum of all is looked at,
    in float32: one pass, and no number escapes it.
    """
    every = [x[:, None].flatten(1) for x in tensors(memory, latest=True)]
    kinds = {x.dtype for x in every if x.is_floating_point()}
    if not kinds:
        return torch.ones_like(every[0][:, 0], dtype=torch.bool)
    # By dtypes: to put several into one is a copy each.
    return sum(
        torch.cat([x for x in every if x.dtype == kind], 1).sum(
            1, dtype=torch.float32) for kind in kinds).isfinite()


def nbytes(memory: Memory) -> int:
    """Size of the tensors in bytes."""
    return sum(x.numel() * x.element_size() for x in tensors(memory))


def state_dict(memory: Memory) -> Dict[str, Any]:
    """Tensors, and what holds for all lanes, by their place: for a file."""
    return dict(_items(memory))


def load_state_dict(memory: Memory, state: Dict[str, Any]) -> Memory:
    """A memory with what was saved.

    ``memory`` is nested as what was saved, such as an empty one of the same
    model; its tensors tell device and dtype. Else it is a ValueError.
    """
    own = dict(_items(memory))
    odd = sorted(own.keys() ^ state.keys()) or [
        place for place, x in own.items() if not isinstance(x, Tensor)
        and x != state[place]]
    if odd:
        raise ValueError(
            f'the saved memory does not fit at {", ".join(odd[:5])}: it is of '
            'another model, number of entries or frame size; start anew with '
            'init_memory()')
    values = iter(
        [state[place] for place, x in own.items() if isinstance(x, Tensor)])
    return tree_map(lambda x: next(values).to(x.device, x.dtype), memory)


def _items(memory: Memory, place: str = '') -> List[tuple]:
    """Places and values of the leaves, in the order of :func:`tree_map`."""
    if hasattr(memory, '_fields'):
        children = zip(memory._fields, memory)
    elif isinstance(memory, (tuple, list)):
        children = enumerate(memory)
    elif isinstance(memory, dict):
        children = memory.items()
    elif hasattr(memory, '__dataclass_fields__'):
        children = ((name, getattr(memory, name))
                    for name in memory.__dataclass_fields__)
    else:
        return [(place[:-1], memory)]
    return [item for name, child in children
            for item in _items(child, f'{place}{name}.')]


_METHODS = dict(map=lambda memory, fn: tree_map(fn, memory),
                num_lanes=num_lanes, detach=detach, to=to, reset=reset_tensors,
                select=select, cat=staticmethod(cat_tensors), finite=finite,
                nbytes=nbytes, state_dict=state_dict,
                load_state_dict=load_state_dict)


def as_memory(cls: type) -> type:
    """Give a named tuple the functions of this module as methods.

    Not by a base class: ``torch.compile`` and ``torch.export`` know named
    tuples, but not what is derived from them.
    """
    for name, method in _METHODS.items():
        if name not in vars(cls):
            setattr(cls, name, method)
    return cls
