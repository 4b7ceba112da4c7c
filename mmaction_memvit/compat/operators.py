# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""MMCV without its compiled extension: detection on pure wheels.

``mmcv-lite``, and MMCV from a source archive (``onedl-mmcv``), ship the Python
side of ``mmcv.ops`` without the extension ``mmcv._ext``, so that MMDetection
cannot be imported: mmcv#3096, mmcv#3325, onedl-mmcv#38. Of about a hundred
operators detection calls two, RoIAlign and NMS, which PyTorch can do.
"""
import importlib
import importlib.util
import sys
import types
import warnings
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from typing import NoReturn

from .errors import PACKAGE, HostError
from .versions import REMEDIES

EXTENSION = 'mmcv._ext'


def _refused(name: str) -> Callable:
    """Stands in for an operator that only the extension has."""

    def operator(*args, **kwargs) -> NoReturn:
        raise HostError(
            f"MMCV's operator {name!r} is not compiled here, and "
            f'{PACKAGE} stands in for RoIAlign and NMS only, which is what '
            'action detection and most detectors of persons need. Remedy: '
            f'{REMEDIES["ops"]}.')

    operator.__name__ = name
    return operator


class OperatorsInPython(types.ModuleType):
    """Placeholder of ``mmcv._ext``, whose functions are there until called.

    MMEngine, which probes for the extension by the loader of its spec, still
    finds none.
    """

    def __init__(self) -> None:
        super().__init__(EXTENSION, 'Stands in for what is not compiled.')
        # pkgutil.find_loader raises for a module without a spec.
        self.__spec__ = ModuleSpec(EXTENSION, None)

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__'):
            raise AttributeError(name)
        return _refused(name)

    @staticmethod
    def nms(boxes, scores, iou_threshold: float, offset: int):
        """What ``mmcv.ops.nms`` calls."""
        from mmaction_memvit.ops.nms import nms
        return nms(boxes, scores, iou_threshold, offset)

    @staticmethod
    def get_compiler_version() -> str:
        """For reports on the environment, which print it."""
        return 'not compiled'

    get_compiling_cuda_version = get_compiler_version


def ops_are_compiled() -> bool:
    """Whether MMCV's own operators are there."""
    module = sys.modules.get(EXTENSION)
    if module is not None:
        return not isinstance(module, OperatorsInPython)
    if importlib.util.find_spec(EXTENSION) is None:
        return False
    try:
        importlib.import_module(EXTENSION)
    except ImportError as error:
        # "undefined symbol" where torch changed under a compiled MMCV.
        warnings.warn(
            f"MMCV's compiled operators do not load: {error}. RoIAlign and "
            'NMS are done in Python, the others are missing. Remedy: '
            f'{REMEDIES["ops"]}.',
            stacklevel=2)
        return False
    return True


def heal_missing_operators() -> None:
    """Lets ``mmcv.ops`` import without its extension, with our RoIAlign."""
    if EXTENSION in sys.modules or ops_are_compiled():
        return
    import mmcv

    from mmaction_memvit.ops import roi_align

    mmcv._ext = sys.modules[EXTENSION] = OperatorsInPython()
    # `mmcv/ops/__init__.py` takes RoIAlign and roi_align from it: as plain
    # functions of PyTorch they can be compiled and exported, too.
    sys.modules['mmcv.ops.roi_align'] = roi_align
