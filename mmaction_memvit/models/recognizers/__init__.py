# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .online_recognizer3d import OnlineRecognizer3D

__all__ = ['OnlineRecognizer3D']
