# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Tools as modules, whose ``main`` tests call in their own process."""
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load_tool(path):
    """The module of a script, by its path from the root."""
    path = ROOT / path
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    # Scripts find those beside them.
    sys.path.insert(0, str(path.parent))
    spec.loader.exec_module(module)
    sys.path.remove(str(path.parent))
    return module


def tool_fixture(path):
    """A fixture of a test module: a script as a module."""

    @pytest.fixture(scope='module')
    def tool():
        return load_tool(path)

    return tool
