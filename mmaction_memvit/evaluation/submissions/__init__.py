# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Files of scores, what they are measured against, and submissions."""
