# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Restriction of sampling to a segment of a video."""
import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform


@TRANSFORMS.register_module()
class TrimToSegment(BaseTransform):
    """Lets MMAction2's samplers see a segment as if it were the video.

    ``DecordInit``, ``PyAVInit`` and ``OpenCVInit`` set ``total_frames`` to
    that of the whole file. Placed after one of these and before
    ``SampleFrames``, ``UniformSample`` and the like, this transform restores
    what the data set said; frame numbers then lie within the segment, and
    decoding transforms find them. With frame folders or ``LoadVideoClip`` it
    is not needed, and does no harm.

    Required Keys:

        - segment_frames (tuple[int]): first and last frame of the segment,
          from 0, inclusive, as :class:`EpicDataset` gives it
        - total_frames, start_index

    Modified Keys:

        - total_frames (int): frames of the segment
        - start_index (int): number of its first frame
        - segment_frames: where the file is shorter than expected
    """

    def transform(self, results: dict) -> dict:
        """Restricts the sample to its segment."""
        if 'segment_frames' not in results:
            raise KeyError("TrimToSegment needs results['segment_frames']. "
                           'Remedy: use EpicDataset, which gives it')
        first, last = results['segment_frames']
        if 'video_reader' in results:
            # A cut-off file has fewer frames than the annotations think.
            end = int(results['total_frames']) - 1
            first, last = (int(np.clip(x, 0, max(end, 0)))
                           for x in (first, last))
        results['segment_frames'] = (first, last)
        results['total_frames'] = last - first + 1
        results['start_index'] = results.get('first_number', 0) + first
        return results
