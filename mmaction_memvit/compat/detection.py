# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Says why detection is missing, where it is."""
import importlib
from typing import NoReturn

from .errors import HostError
from .versions import REMEDIES

# What MMAction2 registers only where MMDetection imports, and this package.
DETECTION_MODELS = ('FastRCNN', 'AVARoIHead', 'BBoxHeadAVA',
                    'SingleRoIExtractor3D', 'ACRNHead', 'FBOHead',
                    'LFBInferHead')
OWN_MODELS = ('CollaborativeFastRCNN', 'OnlineFastRCNN', 'MeMViTBBoxHead',
              'MeMViTRoIHead', 'StreamTransformerRoIHead')
DETECTION_TASK_UTILS = ('MaxIoUAssignerAVA', )


def detection_is_there() -> bool:
    """Whether MMAction2 has its detection side, which needs MMDetection."""
    from mmaction.models import roi_heads
    return hasattr(roi_heads, 'AVARoIHead')


def _explain_detection(name: str) -> NoReturn:
    """Raises the reason why a class of the detection side is missing."""
    try:
        importlib.import_module('mmdet.models')
    except Exception as error:
        raise HostError(f'{name} needs MMDetection, which cannot be imported: '
                        f'{error}. Remedy: {REMEDIES["mmdet"]}.') from error
    raise HostError(
        f'{name} is missing although MMDetection loads: MMAction2 failed to '
        'import its detection side. See the error of `python -c "import '
        'mmaction_memvit, mmaction.models.roi_heads.roi_head"`.')


def explain_missing_detection() -> None:
    """Registers placeholders for what MMAction2 silently leaves out.

    Where MMDetection does not import, MMAction2 drops its detection side
    without a word, and users read "AVARoIHead is not in the mmaction::model
    registry". A placeholder raises the true cause when it is built. It looks
    for the cause only then, so that MMDetection is not imported here.
    """
    from mmengine.registry import MODELS, TASK_UTILS

    if detection_is_there():
        return
    # In the root registries: with MMDetection missing, MMEngine falls back to
    # them for `_scope_='mmdet'`.
    for registry, names in ((MODELS, (*DETECTION_MODELS, *OWN_MODELS)),
                            (TASK_UTILS, DETECTION_TASK_UTILS)):
        for name in names:
            if name in registry.module_dict:
                continue

            def placeholder(*args, _name=name, **kwargs) -> NoReturn:
                _explain_detection(_name)

            registry.register_module(name=name, module=placeholder)
