# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What the preflight finds in a config."""
import copy
from pathlib import Path
from typing import List

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmaction_memvit.engine.preflight import Finding, Run, find_problems

ROOT = Path(__file__).resolve().parents[2]


def findings(cfg: Config) -> List[Finding]:
    """What is found without data."""
    with DefaultScope.overwrite_default_scope('mmaction'):
        return find_problems(Run.of_config(cfg))


def changed(cfg: Config, **changes) -> Config:
    """A copy with other options; dots lead into dicts and lists.

    A value that is a function gets what was there.
    """
    cfg = Config(copy.deepcopy(cfg._cfg_dict.to_dict()))
    for path, value in changes.items():
        *way, last = [int(x) if x.isdigit() else x for x in path.split('.')]
        node = cfg._cfg_dict
        for key in way:
            node = node[key]
        if callable(value):
            value = value(node.get(last))
        node[last] = value
    return cfg
