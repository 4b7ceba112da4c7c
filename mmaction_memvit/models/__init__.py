# Copyright (c) mmaction_memvit contributors. All rights reserved.
from mmaction_memvit.compat import detection_is_there

from .backbones import *  # noqa: F401,F403
from .data_preprocessors import *  # noqa: F401,F403
from .heads import *  # noqa: F401,F403
from .losses import *  # noqa: F401,F403
from .necks import *  # noqa: F401,F403
from .recognizers import *  # noqa: F401,F403

if detection_is_there():
    from .detectors import *  # noqa: F401,F403
    from .roi_heads import *  # noqa: F401,F403
