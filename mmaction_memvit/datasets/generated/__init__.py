# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Sets of videos made for tests and demos, whose answers need memory.

Here is what they show and how it is drawn; ``tools/data/make_*.py`` and
``tools/data/epic100/make_generated.py`` write them.
"""
