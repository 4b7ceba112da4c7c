# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What this package works with: the one table of versions.

Standard library only and without relative imports: ``tools/check_env.py``
loads this file where nothing is installed.
"""
import re
import sys
from importlib import metadata
from typing import Dict, Optional, Tuple

# Lowest version that works, and the first one that does not.
SUPPORTED_VERSIONS: Dict[str, Tuple[str, Optional[str]]] = {
    'python': ('3.9', None),
    # 'a0': builds of NVIDIA, taken shortly before the release.
    'torch': ('2.1.0a0', None),
    'numpy': ('1.21', None),
    'mmengine': ('0.10.3', '1.0.0'),
    # The forks of OneDL go on counting where OpenMMLab stopped at 2.2.0.
    'mmcv': ('2.0.0', '3.0.0'),
    'mmaction': ('1.2.0', '2.0.0'),
    'mmdet': ('3.1.0', '4.0.0'),
}

# MMAction2 1.2.0 and MMDetection 3.3.0 assert MMCV < 2.2.0 while they are
# imported. What works with later ones is shown this version meanwhile.
SHOWN_MMCV = '2.1.0'
FIRST_REFUSED_MMCV = '2.2.0'

# The set that was tested most.
TESTED_VERSIONS = {
    'torch': '2.13.0',
    'numpy': '1.26.4',
    'mmengine': '0.10.7',
    'mmcv-lite': '2.1.0',
    'mmaction2': '1.2.0',
    'mmdet': '3.3.0',
    'opencv-python': '4.11.0.86',
    'opencv-contrib-python': '4.11.0.86',
}
if sys.version_info < (3, 10):
    TESTED_VERSIONS['torch'] = '2.8.0'
if sys.version_info >= (3, 13):
    TESTED_VERSIONS.update({'numpy': '2.4.6', 'opencv-python': '4.14.0.94',
                            'opencv-contrib-python': '4.14.0.94'})

# Distributions that write one and the same folder of Python modules.
DISTRIBUTIONS = {
    'mmengine': ('mmengine', 'mmengine-lite', 'onedl-mmengine'),
    'mmcv': ('mmcv', 'mmcv-lite', 'mmcv-full', 'onedl-mmcv'),
    'mmaction': ('mmaction2', ),
    'mmdet': ('mmdet', 'onedl-mmdetection'),
}


def pinned(*distributions: str) -> str:
    """Arguments of ``pip install`` that give the tested versions."""
    return ' '.join(f'{name}=={TESTED_VERSIONS[name]}'
                    for name in distributions)


REMEDIES = {
    'torch': f'`pip install {pinned("torch")}`',
    'mmengine': f'`pip install {pinned("mmengine")}`',
    'mmcv': f'`pip install {pinned("mmcv-lite")}`',
    'mmaction': f'`pip install {pinned("mmaction2")}`',
    'mmdet': f'`pip install {pinned("mmdet")}`',
    'cv2': '`pip install '
           f'{pinned("opencv-python", "opencv-contrib-python")}`',
    'numpy': '`pip install '
             f'{pinned("numpy", "opencv-python", "opencv-contrib-python")}`',
    # Only for MMCV's other operators: none that this package calls.
    'ops': '`pip uninstall -y mmcv mmcv-lite`, `pip install "setuptools<82" '
           'wheel ninja psutil` and `MMCV_WITH_OPS=1 pip install '
           '--no-build-isolation --no-deps --no-cache-dir mmcv==2.1.0` (some '
           'minutes of compiling)',
    'pkg_resources': '`pip install "setuptools<82"` (setuptools 82 dropped '
                     'pkg_resources, which MMEngine looks configs up with)',
    'opencv': 'install the system libraries of OpenCV (Debian, Ubuntu: '
              '`apt-get install libgl1 libglib2.0-0`)',
}


def installed(module: str) -> Dict[str, str]:
    """Versions of what provides a module; more than one is a fault."""
    found = {}
    for name in DISTRIBUTIONS[module]:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def release(version: str) -> Tuple[int, ...]:
    """Turns '2.13.0+cpu' into (2, 13, 0), for where MMEngine is missing."""
    match = re.match(r'\d+(\.\d+)*', version)
    return tuple(map(int, match.group().split('.'))) if match else ()
