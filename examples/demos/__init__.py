# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What memory is good for, shown by training in minutes on a CPU."""
