# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Metrics, the measures they compute, and files of results."""
