# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Mends what keeps MMAction2 from being imported.

One function per fault, with the thread or the version it answers. Each leaves
a sound host untouched and may be called again.
"""
import contextlib
import importlib.metadata
import importlib.util
import os.path as osp
import pkgutil
import sys
import types
from collections.abc import Iterator

from .errors import is_outside
from .versions import FIRST_REFUSED_MMCV, SHOWN_MMCV, release


def heal_find_loader() -> None:
    """Python 3.14 dropped ``pkgutil.find_loader``.

    MMEngine (``mmcv_full_available``) and MMCV (``check_ops_exist``) probe
    for the compiled operators with it.
    """
    if hasattr(pkgutil, 'find_loader'):
        return

    def find_loader(fullname: str):
        """The loader of a module, None if there is no such module."""
        return getattr(importlib.util.find_spec(fullname), 'loader', None)

    pkgutil.find_loader = find_loader


def heal_missing_importlib_metadata() -> None:
    """Lends the standard library's module under the name MMAction2 imports.

    ``mmaction.utils.dependency`` imports the backport ``importlib_metadata``,
    which MMAction2 1.2.0 does not declare: one more obstacle of the installs
    that mmaction2#2333 and mmaction2#2868 are about.
    """
    name = 'importlib_metadata'
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        sys.modules[name] = importlib.metadata


@contextlib.contextmanager
def shown_mmcv_version() -> Iterator[None]:
    """Shows MMCV as 2.1.0 to those who refuse what works.

    MMAction2 1.2.0 and MMDetection 3.3.0 assert MMCV < 2.2.0 while they are
    imported, which keeps out OpenMMLab's last release and the fork onedl-mmcv
    (2.3.6).
    """
    import mmcv
    version = mmcv.__version__
    if not is_outside(version, '0', FIRST_REFUSED_MMCV):
        yield
        return
    mmcv.__version__ = SHOWN_MMCV
    try:
        yield
    finally:
        mmcv.__version__ = version


def heal_multimodal() -> None:
    """Transformers 5 makes MMAction2 1.2.0 unimportable (seen with 5.17).

    Its models of video and text are switched on by transformers' metadata,
    and import names that transformers 5 dropped: "cannot import name
    'apply_chunking_to_forward'". They are switched off; transformers itself
    stays as it is.
    """
    try:
        version = importlib.metadata.version('transformers')
    except importlib.metadata.PackageNotFoundError:
        return
    if release(version) >= (5, ):
        from mmaction.utils import dependency
        dependency.WITH_MULTIMODAL = False


def heal_missing_drn() -> None:
    """Stands in for ``mmaction.models.localizers.drn`` (mmaction2#2714).

    The wheel of MMAction2 1.2.0 lacks that folder, yet ``mmaction.models``
    imports ``DRN`` from it, so that nothing at all can be imported.
    """
    name = 'mmaction.models.localizers.drn'
    host = importlib.util.find_spec('mmaction')
    folder = osp.join(osp.dirname(host.origin), 'models', 'localizers', 'drn')
    if name in sys.modules or osp.isfile(osp.join(folder, 'drn.py')):
        return

    class DRN:
        """Says why the real class is missing."""

        def __init__(self, *args, **kwargs) -> None:
            raise ImportError(
                'The localizer DRN is not part of the MMAction2 1.2.0 package '
                '(mmaction2#2714). Remedy: install MMAction2 from its '
                'sources (git), branch main, together with torchvision.')

    package, module = types.ModuleType(name), types.ModuleType(f'{name}.drn')
    package.__path__ = []  # marks it as a package, with nothing on disk
    package.drn, module.DRN = module, DRN
    sys.modules[name], sys.modules[f'{name}.drn'] = package, module

    from mmaction.registry import MODELS
    MODELS.register_module(name='DRN', module=DRN, force=True)
