# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Pictures and tables of detections and of the plan of a sampler."""
