# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Lists and videos in the form of Charades."""
from pathlib import Path
from typing import Sequence

import cv2

from .videos import number_image, write_video

HEADER = 'id,subject,script,actions,length'


def write_list(path, rows: Sequence, header: str = HEADER) -> str:
    """Writes rows of id, actions and length as a list of Charades."""
    lines = [header]
    for video, actions, length in rows:
        lines.append(f'{video},HR43,"He sits, and ""eats"".",{actions},'
                     f'{length}')
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(lines) + '\n')
    return str(path)


def write_videos(folder, rows: Sequence, rate: int = 24) -> str:
    """Writes the videos of rows; video k shows numbers from 1000 k on."""
    for k, (video, _, length) in enumerate(rows):
        write_video(Path(folder) / f'{video}.mp4', round(length * rate),
                    first=1000 * k, rate=rate)
    return str(folder)


def write_frames(folder, rows: Sequence, rate: int = 24) -> str:
    """Writes the same as folders of frames, as Charades_v1_rgb has them."""
    for k, (video, _, length) in enumerate(rows):
        place = Path(folder) / video
        place.mkdir(parents=True)
        for i in range(round(length * rate)):
            cv2.imwrite(str(place / f'{video}-{i + 1:06}.jpg'),
                        number_image(1000 * k + i))
    return str(folder)
