# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Sets of videos made for tests and demos, whose answers need memory.

Each set has two modules: what it shows and how it is drawn, and
``make_*.py``, which writes its files; ``examples/generate.py`` runs them.
"""
