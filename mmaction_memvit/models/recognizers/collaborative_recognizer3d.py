# Copyright (c) mmaction_memvit contributors. All rights reserved.
from mmaction.models.recognizers import Recognizer3D
from mmaction.registry import MODELS

from .collaborative import RecognizerCollaboration


@MODELS.register_module()
class CollaborativeRecognizer3D(RecognizerCollaboration, Recognizer3D):
    __doc__ = RecognizerCollaboration.__doc__
