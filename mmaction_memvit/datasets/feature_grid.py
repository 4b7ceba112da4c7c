# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Features are those of a data set's own clips, or it is an error."""
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..messages import data_error
from ..video.feature_files import FeatureStack


def check_features(dataset: Any, videos: Sequence[dict]) -> None:
    """Raises an error if features of clips are not of a data set's clips.

    Args:
        dataset (StreamDataset): With samples planned.
        videos (Sequence[dict]): Its videos.
    """
    grid = getattr(dataset, 'grid', None)
    told = {k: getattr(grid, k) for k in ('clip_len', 'frame_interval')
            if hasattr(grid, k)}
    numbers, firsts, counts = np.unique(
        dataset.samples['video'], return_index=True, return_counts=True)
    for number, first, count in zip(numbers, firsts, counts):
        video = videos[number]
        if video.get('feature_of') != 'clip':
            continue
        features = FeatureStack(video['feature_files'])
        keys = [dataset.sample_keys(i, video)
                for i in {first, first + count - 1}]
        if 'start_seconds' not in keys[0]:
            raise data_error(
                str(features.files[0]), 'features of clips one after the '
                f'other, but {type(dataset).__name__} chooses frames',
                'OnlineVideoDataset, OnlineEpicDataset or '
                'FeatureStreamDataset; or features one a frame, without times')
        features.check_clips([x['start_seconds'] for x in keys], **told)
        features.close()
