# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Says what is wrong with a host library, and what mends it."""
import importlib
import types
from pathlib import Path
from typing import Optional

from .versions import REMEDIES, SUPPORTED_VERSIONS

PACKAGE = 'mmaction_memvit'


class HostError(RuntimeError):
    """A host library is missing, broken or of the wrong version.

    Not an ImportError on purpose: MMEngine's ``custom_imports`` replaces every
    ImportError by "Failed to import mmaction_memvit", which hides the cause.
    """


def is_outside(version: str, low: str, high: Optional[str]) -> bool:
    """Whether a version is below ``low``, or not below ``high``."""
    from mmengine.utils import digit_version
    number = digit_version(version)
    return number < digit_version(low) or (high is not None
                                           and number >= digit_version(high))


def check_version(name: str) -> None:
    """Imports a host library and checks its version.

    Raises:
        HostError: If it is missing, fails to import, or lies outside
            ``SUPPORTED_VERSIONS``.
    """
    version = str(import_host(name).__version__)
    low, high = SUPPORTED_VERSIONS[name]
    if is_outside(version, low, high):
        limits = f'>= {low}' + (f', < {high}' if high else '')
        raise HostError(f'{PACKAGE} works with {name} {limits}, but {version} '
                        f'is installed. Remedy: {REMEDIES[name]}.')


def explain_import_error(error: Exception) -> str:
    """A sentence with the command that mends what an import raised."""
    text = str(error)
    missing = (getattr(error, 'name', None) or '').partition('.')[0]
    if isinstance(error, ModuleNotFoundError) and missing:
        remedy = REMEDIES.get(missing, f'`pip install {missing}`')
    elif any(lib in text for lib in ('libGL', 'libgthread', 'libglib',
                                     'libSM', 'libXext', 'libXrender')):
        remedy = REMEDIES['opencv']
    elif 'numpy' in text.lower():
        # "numpy.dtype size changed", "module 'numpy' has no attribute ...",
        # "A module that was compiled using NumPy 1.x cannot be run in ...".
        remedy = REMEDIES['numpy']
    else:
        tool = Path(__file__).parents[1] / '.mim/tools/check_env.py'
        remedy = f'run `python {tool.resolve()}`, which checks every library'
    return f'Remedy: {remedy}.'


def import_host(name: str) -> types.ModuleType:
    """Imports a module of a host library, or says what is wrong with it.

    A failing import within ``mmaction.models`` would otherwise come to light
    much later and in disguise, as "X is not in the registry".
    """
    try:
        return importlib.import_module(name)
    # AssertionError: MMAction2's and MMDetection's checks of versions.
    # AttributeError: names that another version of a library dropped.
    except (ImportError, AssertionError, AttributeError) as error:
        raise HostError(
            f'{PACKAGE} cannot import {name}: {type(error).__name__}: '
            f'{error}. {explain_import_error(error)}') from error
