# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Label files to arrays: one reader a format, with its writer beside it."""
