# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The version, also read by setup.cfg without importing the package."""
__version__ = '0.1.0'
