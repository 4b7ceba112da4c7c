# Copyright (c) mmaction_memvit contributors. All rights reserved.
import os.path as osp
from typing import Optional, Tuple, Union

from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from torch import nn

from mmaction_memvit.messages import warn
from mmaction_memvit.models.checkpoints import any_checkpoint_fits


def load_model(config: Union[str, Config], checkpoint: Optional[str] = None,
               device: str = 'cpu') -> Tuple[Config, nn.Module]:
    """Build a model to evaluate.

    Args:
        config (str | Config): The config the model was trained with.
        checkpoint (str, optional): Weights. Defaults to None: as initialised.
        device (str): Defaults to 'cpu'.

    Returns:
        tuple: The config and the model.

    Raises:
        FileNotFoundError: If config or checkpoint do not exist.
        ValueError: If there is no such device, or the checkpoint cannot be
            read or does not fit, unless the config has
            ``any_checkpoint_fits=True``.
    """
    for path in (config, checkpoint):
        if isinstance(path, str) and '://' not in path and \
                not osp.isfile(path):
            raise FileNotFoundError(f'{path}: no such file')
    if isinstance(config, str):
        config = Config.fromfile(config)
    init_default_scope(config.get('default_scope', 'mmaction'))
    model = MODELS.build(config.model)
    if checkpoint is None:
        warn('no checkpoint was named: scores come from weights that were '
             'never trained, but for those that init_cfg names. Remedy: '
             'give the checkpoint of a training run')
        model.init_weights()
    else:
        with any_checkpoint_fits(config.get('any_checkpoint_fits', False)):
            load_checkpoint(model, checkpoint, map_location='cpu')
    try:
        model.to(device)
    # AssertionError: of a torch without CUDA.
    except (AssertionError, RuntimeError) as e:
        raise ValueError(f'the model cannot go to device {device!r}: {e}; '
                         "name another one, such as 'cpu'") from e
    return config, model.eval()
