# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Heals what is missing or broken in the host libraries.

One function per fault, with the thread it answers where users opened one.
Each leaves a sound host untouched and may be called again. :func:`heal_host`
calls all of them; it has run once ``import mmaction_memvit`` is done.
"""
import functools
import importlib
import importlib.metadata
import importlib.util
import os.path as osp
import pickle
import sys
import types
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn, Optional

if TYPE_CHECKING:
    import numpy as np

PACKAGE = 'mmaction_memvit'

# Lowest version that works, and the first one that does not.
SUPPORTED_VERSIONS = {
    # 'a0': builds of NVIDIA, taken shortly before the release.
    'torch': ('2.1.0a0', None),
    'mmengine': ('0.10.3', '1.0.0'),
    'mmcv': ('2.0.0', '2.2.0'),
    'mmaction': ('1.2.0', '2.0.0'),
}

REMEDIES = {
    'torch':
    'install torch >= 2.1 (the tested version is 2.13.0): '
    '`pip install torch==2.13.0`',
    'mmengine':
    '`pip install mmengine==0.10.7`',
    'mmcv':
    '`pip install mmcv-lite==2.1.0` is enough for recognition; detection '
    'needs MMCV 2.1.0 with compiled operators, which `make env` in a clone of '
    'mmaction_memvit builds',
    'mmaction':
    '`pip install mmaction2==1.2.0`',
    'mmdet':
    '`pip install mmdet==3.3.0`',
    'ops':
    '`pip uninstall -y mmcv mmcv-lite`, then `make env` in a clone of '
    'mmaction_memvit, or by hand `pip install "setuptools<82" wheel ninja '
    'psutil` and `MMCV_WITH_OPS=1 pip install --no-build-isolation --no-deps '
    '--no-cache-dir mmcv==2.1.0` (some minutes of compiling)',
    'pkg_resources':
    '`pip install "setuptools<82"` (setuptools 82 dropped pkg_resources, '
    'which MMEngine looks configs up with)',
    'opencv':
    'install the system libraries of OpenCV (Debian, Ubuntu: `apt-get '
    'install libgl1 libglib2.0-0`)',
    'numpy':
    '`pip install numpy==1.26.4 opencv-python==4.11.0.86 '
    'opencv-contrib-python==4.11.0.86`',
}

# What MMAction2 and MMDetection register only where MMDetection and the
# compiled operators of MMCV load.
DETECTION_MODELS = ('FastRCNN', 'AVARoIHead', 'BBoxHeadAVA',
                    'SingleRoIExtractor3D', 'ACRNHead', 'FBOHead',
                    'LFBInferHead')
# And what this package builds upon them.
OWN_DETECTION_MODELS = ('OnlineFastRCNN', 'MeMViTRoIHead', 'MeMViTBBoxHead')
DETECTION_TASK_UTILS = ('MaxIoUAssignerAVA', )


class HostError(RuntimeError):
    """A host library is missing, broken or of the wrong version.

    Not an ImportError on purpose: MMEngine's ``custom_imports`` replaces every
    ImportError by "Failed to import mmaction_memvit", which hides the cause.
    """


def _is_too_old_or_new(version: str, low: str, high: Optional[str]) -> bool:
    from mmengine.utils import digit_version
    number = digit_version(version)
    return number < digit_version(low) or (high is not None
                                           and number >= digit_version(high))


def check_versions() -> None:
    """Imports the host libraries and checks their versions.

    Raises:
        HostError: If one is missing, fails to import, or lies outside
            ``SUPPORTED_VERSIONS``. The message names the version found, the
            limits and the remedy.
    """
    # In this order: `import mmaction` asserts on the version of mmcv.
    for name in ('torch', 'mmengine', 'mmcv', 'mmaction'):
        version = str(import_host(name).__version__)
        low, high = SUPPORTED_VERSIONS[name]
        if _is_too_old_or_new(version, low, high):
            limits = f'>= {low}' + (f', < {high}' if high else '')
            raise HostError(f'{PACKAGE} works with {name} {limits}, but '
                            f'{version} is installed. Remedy: '
                            f'{REMEDIES[name]}.')


def explain_import_error(error: Exception) -> str:
    """Names the remedy for an error met while importing a host library.

    Args:
        error (Exception): What the import raised.

    Returns:
        str: A sentence with the command that mends it.
    """
    text = str(error)
    missing = (getattr(error, 'name', None) or '').partition('.')[0]
    if '_ext' in text and 'mmcv' in text:
        # An extension built against another torch fails with a line like
        # "mmcv/_ext.cpython-311-x86_64-linux-gnu.so: undefined symbol: ...".
        remedy = REMEDIES['ops']
    elif isinstance(error, ModuleNotFoundError) and missing in REMEDIES:
        remedy = REMEDIES[missing]
    elif isinstance(error, ModuleNotFoundError) and missing == 'cv2':
        remedy = ('`pip install opencv-python==4.11.0.86 '
                  'opencv-contrib-python==4.11.0.86`')
    elif isinstance(error, ModuleNotFoundError) and missing:
        remedy = f'`pip install {missing}`'
    elif any(lib in text for lib in ('libGL', 'libgthread', 'libglib',
                                     'libSM', 'libXext', 'libXrender')):
        remedy = REMEDIES['opencv']
    elif 'numpy' in text.lower():
        # "numpy.dtype size changed", "module 'numpy' has no attribute ...",
        # "A module that was compiled using NumPy 1.x cannot be run in ...".
        remedy = REMEDIES['numpy']
    else:
        remedy = ('run `python tools/check_env.py` of mmaction_memvit, which '
                  'checks every library')
    return f'Remedy: {remedy}.'


def import_host(name: str) -> types.ModuleType:
    """Imports a module of a host library, or says what is wrong with it.

    A failing import within ``mmaction.models`` would otherwise come to light
    much later and in disguise, as "X is not in the registry".

    Args:
        name (str): The module's full name.

    Returns:
        ModuleType: The module.

    Raises:
        HostError: If the import fails, with the cause and the remedy.
    """
    try:
        return importlib.import_module(name)
    # AssertionError: MMAction2's and MMDetection's checks of versions.
    # AttributeError: names that another version of a library dropped.
    except (ImportError, AssertionError, AttributeError) as error:
        raise HostError(
            f'{PACKAGE} cannot import {name}: {type(error).__name__}: '
            f'{error}. {explain_import_error(error)}') from error


def heal_missing_importlib_metadata() -> None:
    """Lends the standard library's module under the name MMAction2 imports.

    ``mmaction.utils.dependency`` imports the backport ``importlib_metadata``,
    which MMAction2 1.2.0 does not declare: one more obstacle of the installs
    that mmaction2#2333 and mmaction2#2868 are about.
    """
    name = 'importlib_metadata'
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        sys.modules[name] = importlib.metadata


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


def _history_buffer_method(owner: type, name: str) -> Callable:
    """Stands in for the ``getattr`` that a pickled HistoryBuffer calls."""
    from mmengine.logging import HistoryBuffer
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
    import numpy as np
    import torch
    from mmengine.logging import HistoryBuffer

    # Before 2.6 the host is fine: weights_only is off unless asked for.
    if _is_too_old_or_new(torch.__version__, '2.6.0a0', None):
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


def heal_distributed_on_cpu() -> None:
    """Lets several processes train or test on a machine without a GPU.

    MMEngine's launchers select a CUDA device whatever the backend is, and
    its runner names one to DistributedDataParallel: both fail on a CPU, where
    two processes over gloo are the way to try a distributed run out.
    """
    from mmengine.device import get_device
    from mmengine.dist import utils as dist_utils
    from mmengine.model import MMDistributedDataParallel

    if get_device() != 'cpu' or hasattr(dist_utils._init_dist_pytorch,
                                        '__wrapped__'):
        return
    original_launcher = dist_utils._init_dist_pytorch
    original_init = MMDistributedDataParallel.__init__

    @functools.wraps(original_launcher)
    def init_dist_pytorch(backend: str,
                          init_backend: str = 'torch',
                          **kwargs) -> None:
        if init_backend != 'torch':
            return original_launcher(backend, init_backend, **kwargs)
        if backend == 'nccl':
            raise HostError(
                "There is no GPU here, which the backend 'nccl' needs. "
                'Remedy: --cfg-options env_cfg.dist_cfg.backend=gloo.')
        from torch import distributed
        distributed.init_process_group(backend=backend, **kwargs)

    @functools.wraps(original_init)
    def init_ddp(self, module, *args, device_ids=None, **kwargs) -> None:
        on_cpu = all(p.device.type == 'cpu' for p in module.parameters())
        original_init(
            self,
            module,
            *args,
            device_ids=None if on_cpu else device_ids,
            **kwargs)

    dist_utils._init_dist_pytorch = init_dist_pytorch
    MMDistributedDataParallel.__init__ = init_ddp


def heal_metrics_file() -> None:
    """Lets one process write the metrics of a test with several.

    After a test every process of MMEngine's LoggerHook writes one and the
    same JSON file, at about the same time: now and then it holds the end of
    another's text behind its own.
    """
    from mmengine.dist import master_only
    from mmengine.hooks import logger_hook

    if not hasattr(logger_hook.dump, '__wrapped__'):
        logger_hook.dump = master_only(logger_hook.dump)


def heal_config_lookup() -> None:
    """Makes ``_base_ = 'mmaction_memvit::...'`` work.

    MMEngine looks a package's configs up through a fixed table of OpenMMLab
    projects, from the name of the module to that of the distribution.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    # Not the distribution's name: for an editable install (PEP 660) MMEngine
    # would then look beside the metadata, where there is no code. It finds no
    # distribution of this name, takes it for a module, and so gets to the
    # folder of the code however that was installed.
    MODULE2PACKAGE[PACKAGE] = f'{PACKAGE}.version'


def heal_inherited_collate_fn() -> None:
    """Lets a config inherit a data loader with a ``collate_fn``.

    MMEngine marks every ``type`` of a ``_base_`` from another package
    (``mmaction::...``) with a ``_scope_``, and its runner hands that to the
    collate function as an argument: MMAction2's MViT configs cannot be
    inherited, "repeat_pseudo_collate() got an unexpected keyword argument
    '_scope_'".
    """
    from mmengine.runner import Runner

    original = Runner.build_dataloader
    if hasattr(original, '__wrapped__'):
        return

    @functools.wraps(original)
    def build_dataloader(dataloader, *args, **kwargs):
        if isinstance(dataloader, dict):
            collate_fn = dataloader.get('collate_fn')
            if isinstance(collate_fn, dict) and '_scope_' in collate_fn:
                collate_fn = {
                    k: v
                    for k, v in collate_fn.items() if k != '_scope_'
                }
                dataloader = {**dataloader, 'collate_fn': collate_fn}
        return original(dataloader, *args, **kwargs)

    Runner.build_dataloader = staticmethod(build_dataloader)


def explain_missing_ops() -> None:
    """Gives a failing import of MMCV's operators its remedy.

    The question behind mmcv#3096 and mmcv#3325, how to get the operators:
    ``mmcv-lite`` ships the Python side of ``mmcv.ops`` without the extension,
    so that users read "No module named 'mmcv._ext'" and no more, or
    "undefined symbol" where torch has changed under a compiled MMCV.
    """
    # Not a finder on sys.meta_path: MMEngine probes for 'mmcv._ext' with
    # pkgutil, and that probe must go on answering "none", without an error.
    from mmcv.utils import ext_loader

    original = ext_loader.load_ext
    if hasattr(original, '__wrapped__'):
        return

    @functools.wraps(original)
    def load_ext(name: str, funcs: Sequence[str]) -> types.ModuleType:
        try:
            return original(name, funcs)
        # AssertionError: an extension of another version lacks functions.
        except (ImportError, AssertionError) as error:
            # The same type, for the sake of those who try and catch it.
            raise type(error)(
                f'{error}. This MMCV has no compiled operators that load: it '
                'is mmcv-lite, or was built without them or for another '
                'torch. Recognition works without; RoIAlign, TIN and '
                f'MMDetection do not. Remedy: {REMEDIES["ops"]}.') from error

    ext_loader.load_ext = load_ext


def require_compiled_ops(user: str) -> None:
    """Checks that MMCV's compiled operators load.

    Args:
        user (str): What needs them, for the message.

    Raises:
        HostError: If they do not, with the cause and the remedy.
    """
    explain_missing_ops()
    try:
        importlib.import_module('mmcv.ops')
    except (ImportError, AssertionError) as error:
        raise HostError(
            f"{user} needs MMCV's compiled operators: {error}") from error


def _explain_detection(name: str) -> NoReturn:
    """Raises the reason why a class of the detection side is missing."""
    require_compiled_ops(name)
    try:
        importlib.import_module('mmdet.models')
    except Exception as error:
        raise HostError(f'{name} needs MMDetection, which cannot be imported: '
                        f'{error}. Remedy: {REMEDIES["mmdet"]}.') from error
    raise HostError(
        f'{name} is missing although MMDetection and the operators of MMCV '
        'load: MMAction2 failed to import its detection side. See the error '
        'of `python -c "import mmaction_memvit, '
        'mmaction.models.roi_heads.roi_head"`.')


def _adjust_hue(img: 'np.ndarray', factor: float) -> 'np.ndarray':
    """Turns the hue of (H, W, 3) RGB values by ``factor`` of 255 steps."""
    import cv2
    import numpy as np
    img = np.clip(img, 0, 255).astype(np.uint8)
    hsv = cv2.cvtColor(img, cv2.COLOR_RGB2HSV)
    # Hues are 0..179 in steps of two degrees; the sum must not wrap at 256.
    hue = hsv[..., 0].astype(np.int16) + int(factor * 255)
    hsv[..., 0] = hue % 180
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)


def heal_color_jitter() -> None:
    """Lets MMAction2's ColorJitter turn hues under NumPy 2.

    It adds a negative Python integer to unsigned bytes, which NumPy 2 refuses
    ("Python integer -24 out of bounds for uint8"). Of what recognition uses,
    this is the only thing that NumPy 2 breaks.
    """
    import numpy as np
    from mmaction.datasets.transforms import ColorJitter

    try:
        ColorJitter.adjust_hue(np.zeros((1, 1, 3)), -0.1)
    except OverflowError:
        ColorJitter.adjust_hue = staticmethod(_adjust_hue)


def heal_non_local_init() -> None:
    """Lets the non-local blocks of MMAction2's 3D ResNets start as identities.

    MMCV zeroes what a block adds, so that blocks can be put into a trained
    backbone; MMAction2 sets all normalisation to 1 afterwards, and a block
    then adds twice as much as there was.
    """
    from mmaction.models.backbones.resnet3d import NonLocal3d, ResNet3d

    original = ResNet3d._init_weights
    if hasattr(original, '__wrapped__'):
        return

    @functools.wraps(original)
    def init_weights(self, pretrained: Optional[str] = None) -> None:
        original(self, pretrained)
        if self.pretrained is not None or not self.non_local_cfg.get(
                'zeros_init', True):
            return
        for block in self.modules():
            if isinstance(block, NonLocal3d):
                last = block.conv_out
                last = last.norm if last.with_norm else last.conv
                for param in last.parameters():
                    param.data.zero_()

    ResNet3d._init_weights = staticmethod(init_weights)


def detection_is_there() -> bool:
    """Whether MMAction2 has its detection side (MMDetection, operators)."""
    from mmaction.models import roi_heads
    return hasattr(roi_heads, 'AVARoIHead')


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
    for registry, names in ((MODELS,
                             DETECTION_MODELS + OWN_DETECTION_MODELS),
                            (TASK_UTILS, DETECTION_TASK_UTILS)):
        for name in names:
            if name in registry.module_dict:
                continue

            def placeholder(*args, _name=name, **kwargs) -> NoReturn:
                _explain_detection(_name)

            registry.register_module(name=name, module=placeholder)


def heal_host() -> None:
    """Checks and heals the host libraries, then imports all of MMAction2.

    Raises:
        HostError: If a library is missing, broken or of the wrong version.
    """
    check_versions()
    heal_missing_importlib_metadata()
    heal_missing_drn()
    heal_resume()
    heal_distributed_on_cpu()
    heal_metrics_file()
    heal_config_lookup()
    heal_inherited_collate_fn()
    explain_missing_ops()
    for part in ('models', 'datasets', 'engine', 'evaluation',
                 'visualization'):
        import_host(f'mmaction.{part}')
    heal_color_jitter()
    heal_non_local_init()
    explain_missing_detection()
