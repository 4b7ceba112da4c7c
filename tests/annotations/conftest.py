# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
from helpers.logs import logged


@pytest.fixture
def log():
    """Messages as they come."""
    with logged() as lines:
        yield lines


@pytest.fixture
def write(tmp_path):
    """Writes a file, of text as UTF-8; returns its path."""

    def run(content, name='file.csv'):
        if isinstance(content, str):
            content = content.encode()
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    return run
