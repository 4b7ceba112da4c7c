# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What benchmark_memvit.py and benchmark_data.py are made of."""
