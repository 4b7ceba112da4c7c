# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Heals what is missing or broken in the host libraries.

:func:`heal_host` has run once ``import mmaction_memvit`` is done. It mends
what raises, and changes nothing that works.
"""
from .detection import detection_is_there, explain_missing_detection
from .errors import HostError, check_version, explain_import_error, import_host
from .imports import (
    heal_find_loader,
    heal_missing_drn,
    heal_missing_importlib_metadata,
    heal_multimodal,
    shown_mmcv_version,
)
from .operators import heal_missing_operators, ops_are_compiled
from .runtime import (
    heal_color_jitter,
    heal_config_lookup,
    heal_distributed_on_cpu,
    heal_inherited_collate_fn,
    heal_metrics_file,
    heal_removed_numpy_names,
    heal_report_of_environment,
    heal_resume,
)
from .tools import explain_inferencer, heal_visualization_hook
from .versions import SUPPORTED_VERSIONS

__all__ = [
    'HostError', 'SUPPORTED_VERSIONS', 'check_version', 'detection_is_there',
    'explain_import_error', 'heal_host', 'import_host', 'ops_are_compiled'
]

PARTS = ('models', 'datasets', 'engine', 'evaluation', 'visualization')


def heal_imports() -> None:
    """Lets MMAction2 be imported, and imports all of it.

    Raises:
        HostError: If a library is missing, broken or of the wrong version.
    """
    heal_find_loader()
    heal_missing_importlib_metadata()
    for name in ('torch', 'mmengine', 'mmcv'):
        check_version(name)
    with shown_mmcv_version():
        check_version('mmaction')
        heal_missing_operators()
        heal_missing_drn()
        heal_multimodal()
        for part in PARTS:
            import_host(f'mmaction.{part}')


def heal_host() -> None:
    """Checks and heals the host libraries, then imports all of MMAction2.

    Raises:
        HostError: If a library is missing, broken or of the wrong version.
    """
    heal_imports()
    heal_resume()
    heal_distributed_on_cpu()
    heal_metrics_file()
    heal_report_of_environment()
    heal_config_lookup()
    heal_inherited_collate_fn()
    heal_color_jitter()
    heal_removed_numpy_names()
    heal_visualization_hook()
    explain_inferencer()
    explain_missing_detection()
