# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Mends what fails when MMEngine and MMAction2 run.

One function per fault, with the version it answers; those that stand around
one of the host do so as soon as this is imported. Each leaves a sound host
untouched and may be called again.
"""
import functools
import importlib
import pickle
import sys
import types
from collections.abc import Callable

import cv2
import numpy as np
import torch
from mmaction.datasets.transforms import ColorJitter
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.device import get_device
from mmengine.dist import utils as dist_utils
from mmengine.hooks import logger_hook
from mmengine.logging import HistoryBuffer
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import runner

from .errors import PACKAGE, HostError, is_outside
from .wrap import around


def _history_buffer_method(owner: type, name: str) -> Callable:
    """Stands in for the ``getattr`` that a pickled HistoryBuffer calls."""
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(
        f'A checkpoint asks for the attribute {name!r} of {owner!r}; only the '
        'statistics min, max, current and mean of a HistoryBuffer are allowed.'
    )


def heal_resume() -> None:
    """Lets torch >= 2.6 read what MMEngine writes into checkpoints.

    Since 2.6 ``torch.load`` accepts only allow-listed types
    (``weights_only=True``), and MMEngine's checkpoints hold ``HistoryBuffer``
    objects and NumPy numbers: resuming fails with "Weights only load failed".
    This allows exactly those types. Everything else stays refused.
    """
    # Before 2.6 the host is fine: weights_only is off unless asked for.
    if is_outside(torch.__version__, '2.6.0a0', None):
        return

    allowed = [HistoryBuffer, np.ndarray, np.dtype]
    # A dtype's state is only restored if its own class is allowed as well.
    allowed += [
        type(np.dtype(name))
        for name in ('bool', 'int32', 'int64', 'float16', 'float32', 'float64')
    ]
    # NumPy 2 moved the two functions, and a checkpoint holds the name that
    # was valid where it was written.
    for function in (np.ndarray(0).__reduce__()[0],
                     np.float64(0).__reduce__()[0]):
        for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
            allowed.append((function, f'{module}.{function.__name__}'))
    # A HistoryBuffer refers to its methods as getattr(HistoryBuffer, 'min').
    # The real getattr would open every attribute of every allowed type.
    allowed.append((_history_buffer_method, 'builtins.getattr'))
    torch.serialization.add_safe_globals(allowed)


@around(dist_utils, '_init_dist_pytorch')
def init_processes(original: Callable, backend: str,
                   init_backend: str = 'torch', **kwargs) -> None:
    """Lets several processes train or test on a machine without a GPU.

    MMEngine's launchers select a CUDA device whatever the backend is, and
    its runner names one to DistributedDataParallel: both fail on a CPU, where
    two processes over gloo are the way to try a distributed run out.
    """
    if get_device() != 'cpu' or init_backend != 'torch':
        return original(backend, init_backend, **kwargs)
    if backend == 'nccl':
        raise HostError(
            "There is no GPU here, which the backend 'nccl' needs. "
            'Remedy: --cfg-options env_cfg.dist_cfg.backend=gloo.')
    torch.distributed.init_process_group(backend=backend, **kwargs)


@around(MMDistributedDataParallel, '__init__')
def init_parallel(original: Callable, self: MMDistributedDataParallel,
                  module: torch.nn.Module, *args, **kwargs) -> None:
    """See :func:`init_processes`."""
    if get_device() == 'cpu' and all(
            p.device.type == 'cpu' for p in module.parameters()):
        kwargs['device_ids'] = None
    original(self, module, *args, **kwargs)


@around(logger_hook, 'dump')
def dump_metrics(original: Callable, *args, **kwargs) -> None:
    """Lets one process write the metrics of a test with several.

    After a test every process of MMEngine's LoggerHook writes one and the
    same JSON file, at about the same time: now and then it holds the end of
    another's text behind its own.
    """
    if dist_utils.is_main_process():
        original(*args, **kwargs)


@around(runner, 'collect_env')
def collect_env(original: Callable) -> dict:
    """Lets the runner start beside a torchvision that does not load.

    PyPI's torchvision beside a torch for the CPU raises "operator
    torchvision::nms does not exist", a RuntimeError, where MMEngine's report
    expects a missing module at most.
    """
    try:
        return original()
    except RuntimeError as error:
        if 'torchvision' not in str(error):
            raise
    sys.modules['torchvision'] = None
    try:
        return {**original(), 'TorchVision': 'does not load'}
    finally:
        del sys.modules['torchvision']


@around(runner.Runner, 'build_dataloader')
def build_dataloader(original: Callable, dataloader: object, *args,
                     **kwargs) -> object:
    """Lets a config inherit a data loader with a ``collate_fn``.

    MMEngine marks every ``type`` of a ``_base_`` from another package
    (``mmaction::...``) with a ``_scope_``, and its runner hands that to the
    collate function as an argument: MMAction2's MViT configs cannot be
    inherited, "repeat_pseudo_collate() got an unexpected keyword argument
    '_scope_'".
    """
    if isinstance(dataloader, dict) and isinstance(
            dataloader.get('collate_fn'), dict):
        collate_fn = dict(dataloader['collate_fn'])
        collate_fn.pop('_scope_', None)
        dataloader = {**dataloader, 'collate_fn': collate_fn}
    return original(dataloader, *args, **kwargs)


def heal_config_lookup() -> None:
    """Makes ``_base_ = 'mmaction_memvit::...'`` work.

    MMEngine looks a package's configs up through a fixed table of OpenMMLab
    projects, from the name of the module to that of the distribution.
    """
    # Not the distribution's name: for an editable install (PEP 660) MMEngine
    # would then look beside the metadata, where there is no code. It finds no
    # distribution of this name, takes it for a module, and so gets to the
    # folder of the code however that was installed.
    MODULE2PACKAGE[PACKAGE] = f'{PACKAGE}.version'


def _adjust_hue(img: np.ndarray, factor: float) -> np.ndarray:
    """Turns the hue of (H, W, 3) RGB values by ``factor`` of 255 steps."""
    img = np.clip(img, 0, 255).astype(np.uint8)
    hsv = cv2.cvtColor(img, cv2.COLOR_RGB2HSV)
    # Hues are 0..179 in steps of two degrees; the sum must not wrap at 256.
    hue = hsv[..., 0].astype(np.int16) + int(factor * 255)
    hsv[..., 0] = hue % 180
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)


def heal_color_jitter() -> None:
    """Lets MMAction2's ColorJitter turn hues under NumPy 2.

    It adds a negative Python integer to unsigned bytes, which NumPy 2 refuses
    ("Python integer -24 out of bounds for uint8").
    """
    try:
        ColorJitter.adjust_hue(np.zeros((1, 1, 3)), -0.1)
    except OverflowError:
        ColorJitter.adjust_hue = staticmethod(_adjust_hue)


def heal_removed_numpy_names() -> None:
    """Lends MMAction2 the names that it uses and NumPy 2 dropped.

    AVAMetric stopped at ``np.NAN``, for a class without labels, and poses at
    ``np.Inf``. NumPy itself stays as it is.
    """
    names = dict(NAN='nan', Inf='inf', trapz='trapezoid')
    gone = {k: getattr(np, v) for k, v in names.items() if not hasattr(np, k)}
    if not gone:
        return
    lent = types.ModuleType('numpy')
    vars(lent).update(gone, __getattr__=functools.partial(getattr, np))
    for name in ('evaluation.functional.accuracy',
                 'evaluation.functional.ava_evaluation.metrics',
                 'datasets.transforms.pose_transforms', 'utils.misc'):
        importlib.import_module(f'mmaction.{name}').np = lent
