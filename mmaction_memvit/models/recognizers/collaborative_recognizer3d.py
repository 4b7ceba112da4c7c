# Copyright (c) mmaction_memvit contributors. All rights reserved.
from mmaction.models.recognizers import Recognizer3D
from mmaction.registry import MODELS

from .collaborative import CollaborativeMixin


@MODELS.register_module()
class CollaborativeRecognizer3D(CollaborativeMixin, Recognizer3D):
    __doc__ = CollaborativeMixin.__doc__
