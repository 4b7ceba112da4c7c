# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Heals what is missing or broken in the host libraries.

:func:`heal_host` has run once ``import mmaction_memvit`` is done. It mends
what raises, and changes nothing that works.
"""
from . import imports, operators
from .detection import detection_is_there, explain_missing_detection
from .errors import HostError, check_version, import_host
from .operators import ops_are_compiled

__all__ = ['HostError', 'detection_is_there', 'heal_host', 'ops_are_compiled']


def heal_host() -> None:
    """Checks and heals the host libraries, and imports all of MMAction2.

    Raises:
        HostError: If a library is missing, broken or of the wrong version.
    """
    imports.heal_find_loader()
    imports.heal_missing_importlib_metadata()
    for name in ('torch', 'mmengine', 'mmcv'):
        check_version(name)
    with imports.shown_mmcv_version():
        check_version('mmaction')
        operators.heal_missing_operators()
        imports.heal_missing_drn()
        imports.heal_multimodal()
        for part in ('models', 'datasets', 'engine', 'evaluation',
                     'visualization'):
            import_host(f'mmaction.{part}')
    # These import MMAction2.
    from . import runtime, tools  # noqa: F401
    runtime.heal_resume()
    runtime.heal_config_lookup()
    runtime.heal_color_jitter()
    runtime.heal_removed_numpy_names()
    explain_missing_detection()
