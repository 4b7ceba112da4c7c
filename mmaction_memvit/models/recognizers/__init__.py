# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .collaborative import CollaborativeRecognizer2D, CollaborativeRecognizer3D
from .online_recognizer3d import OnlineRecognizer3D

__all__ = ['CollaborativeRecognizer2D', 'CollaborativeRecognizer3D',
           'OnlineRecognizer3D']
