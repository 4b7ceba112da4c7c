# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""A checkpoint of another backbone is an error, not a line in the log."""
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Dict

from torch import Tensor, nn

_ANY_FITS: ContextVar[bool] = ContextVar('any_checkpoint_fits', default=False)


@contextmanager
def any_checkpoint_fits():
    """Within it, nothing is checked: what fits is loaded, the rest logged."""
    token = _ANY_FITS.set(True)
    try:
        yield
    finally:
        _ANY_FITS.reset(token)


def check_backbone_checkpoints(backbone: nn.Module) -> None:
    """Make it an error to load a model with a checkpoint of another backbone.

    MMEngine loads what fits and logs the rest, so that a run may train from
    scratch unnoticed. From now on, whenever a state dict is loaded into the
    model that ``backbone`` belongs to (``load_from``, resuming, testing), it
    must have all of the backbone's tensors, in their shapes. What it says of
    neck and head does not matter: a new head for other classes and a new neck
    are what fine-tuning is about. Loading the backbone by itself is not
    checked, nor is what happens within :func:`any_checkpoint_fits`.

    Args:
        backbone (nn.Module): Of a model.
    """
    # After those of the backbone itself, which may adapt the state dict.
    backbone._register_load_state_dict_pre_hook(_check, with_module=True)


def _check(backbone: nn.Module, state: Dict[str, Tensor], prefix: str,
           *args) -> None:
    """Hook that is called before ``state`` is loaded.

    Raises:
        ValueError: If a tensor of the backbone is missing or of another
            shape.
    """
    if not prefix or _ANY_FITS.get():
        return
    # Old checkpoints do not count batches.
    own = {
        prefix + key: tuple(value.shape)
        for key, value in backbone.state_dict().items()
        if not key.endswith('num_batches_tracked')
    }
    misfits = [
        key for key, shape in own.items()
        if key not in state or tuple(state[key].shape) != shape
    ]
    if not misfits:
        return
    first = misfits[0]
    found = 'is not in it'
    if first in state:
        found = f'has the shape {tuple(state[first].shape)} there'
    raise ValueError(
        f'the checkpoint does not fit the {type(backbone).__name__} of this '
        f'model: {len(own) - len(misfits)} of the {len(own)} tensors of the '
        f'backbone are in it in their shapes. The first other one, {first} of '
        f'shape {own[first]}, {found}. Remedy: use a config whose backbone is '
        f'that of the checkpoint; its keys must begin with {prefix!r}. To '
        "load what fits of it on purpose, give the model init_cfg=dict(type="
        "'Pretrained', checkpoint=...) and no load_from")
