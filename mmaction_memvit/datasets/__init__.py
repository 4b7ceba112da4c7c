# Copyright (c) mmaction_memvit contributors. All rights reserved.
from .charades_dataset import CharadesDataset  # noqa: F401
from .collaborative_ava_dataset import (  # noqa: F401
    CollaborativeAVADataset,
)
from .epic_dataset import EpicDataset  # noqa: F401
from .online_ava_dataset import OnlineAVADataset  # noqa: F401
from .online_epic_dataset import OnlineEpicDataset  # noqa: F401
from .online_video_dataset import OnlineVideoDataset  # noqa: F401
from .samplers import *  # noqa: F401,F403
from .transforms import *  # noqa: F401,F403
from .video_clips_dataset import VideoClipsDataset  # noqa: F401
