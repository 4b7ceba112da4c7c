# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The registries of the scope ``mmaction_memvit``.

Modules of this package are registered in MMAction2's own registries, so that
stock configs (``default_scope = 'mmaction'``) find them. The child registries
below are for the other direction: a config that inherits from
``mmaction_memvit::...`` or sets ``_scope_='mmaction_memvit'`` finds everything
that MMAction2 and this package have, without a warning.
"""
import mmaction.registry as host
from mmengine.registry import Registry


def _child_of(parent: Registry) -> Registry:
    # The import of the package registers its own modules and MMAction2's.
    return Registry(parent.name, parent=parent, scope='mmaction_memvit',
                    locations=['mmaction_memvit'])


RUNNERS = _child_of(host.RUNNERS)
RUNNER_CONSTRUCTORS = _child_of(host.RUNNER_CONSTRUCTORS)
LOOPS = _child_of(host.LOOPS)
HOOKS = _child_of(host.HOOKS)
DATASETS = _child_of(host.DATASETS)
DATA_SAMPLERS = _child_of(host.DATA_SAMPLERS)
TRANSFORMS = _child_of(host.TRANSFORMS)
MODELS = _child_of(host.MODELS)
MODEL_WRAPPERS = _child_of(host.MODEL_WRAPPERS)
WEIGHT_INITIALIZERS = _child_of(host.WEIGHT_INITIALIZERS)
OPTIMIZERS = _child_of(host.OPTIMIZERS)
OPTIM_WRAPPERS = _child_of(host.OPTIM_WRAPPERS)
OPTIM_WRAPPER_CONSTRUCTORS = _child_of(host.OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = _child_of(host.PARAM_SCHEDULERS)
METRICS = _child_of(host.METRICS)
EVALUATOR = _child_of(host.EVALUATOR)
TASK_UTILS = _child_of(host.TASK_UTILS)
VISUALIZERS = _child_of(host.VISUALIZERS)
VISBACKENDS = _child_of(host.VISBACKENDS)
LOG_PROCESSORS = _child_of(host.LOG_PROCESSORS)
INFERENCERS = _child_of(host.INFERENCERS)
FUNCTION = _child_of(host.FUNCTION)
TOKENIZER = _child_of(host.TOKENIZER)
