# Copyright (c) mmaction_memvit contributors. All rights reserved.
import gc
import logging

import pytest
from helpers.logs import logged
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope


@pytest.fixture(scope='module', autouse=True)
def quick_collection():
    # BaseDataset collects garbage for every dataset; not what was imported.
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmaction'):
        yield


@pytest.fixture
def warnings():
    """Messages of warnings, as they come."""
    with logged(level=logging.WARNING) as lines:
        yield lines


@pytest.fixture
def log(tmp_path):
    """What is logged, by workers too."""
    name = f'test_{tmp_path.name}'
    path = tmp_path / 'log.txt'
    logger = MMLogger.get_instance(name, log_file=str(path), log_level='INFO')
    yield path.read_text
    for handler in list(logger.handlers):
        handler.close()
    MMLogger._instance_dict.pop(name)
