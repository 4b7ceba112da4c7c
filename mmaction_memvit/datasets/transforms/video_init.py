# Copyright (c) mmaction_memvit contributors. All rights reserved.
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from ...video import VideoReadError, probe_video


@TRANSFORMS.register_module()
class VideoInit(BaseTransform):
    """Finds out how long a video is, where nobody has told.

    It takes the place of ``DecordInit`` before ``SampleFrames`` and
    :class:`LoadVideoClip`. Data sets with an ``index_file`` know; MMAction2's
    ``VideoDataset``, ``inference_recognizer`` and ``MMAction2Inferencer`` name
    a file and no more. The file is then read through once without decoding,
    as headers are not to be believed.

    Required Keys:

        - filename: on a disk
        - total_frames (optional)

    Added Keys (where ``total_frames`` is not there):

        - total_frames (int)
        - fps, avg_fps (float)
        - frame_table (dict): see :mod:`mmaction_memvit.video.frames`

    Raises:
        VideoReadError: In use, if the video cannot be read.
    """

    def transform(self, results: dict) -> dict:
        """Adds the length of the video."""
        if 'total_frames' in results:
            return results
        entry = probe_video(results['filename'])
        if not entry['num_frames']:
            raise VideoReadError(
                f"{results['filename']} {entry['problem']}. Remedy: check the "
                'path; convert or leave out videos that do not decode')
        results['total_frames'] = entry['num_frames']
        results['fps'] = results['avg_fps'] = entry['fps']
        results['frame_table'] = entry
        return results
