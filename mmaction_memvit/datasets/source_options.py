# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Checks of the options by which data sets find their videos."""
from typing import Optional


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises a ValueError if an argument has none of the possible values."""
    if value not in choices:
        raise ValueError(f'{name}={value!r} is unknown; it must be one of '
                         f'{choices}')


def video_or_frames(data_prefix: Optional[dict]) -> tuple[dict, bool]:
    """Check where the videos are.

    Args:
        data_prefix (dict, optional): ``dict(video=...)``, the folder of video
            files, or ``dict(img=...)``, that of frame folders. None: video
            files under ``data_root``.

    Returns:
        tuple[dict, bool]: A copy, and whether there are frame folders.

    Raises:
        ValueError: If it is neither.
    """
    prefix = {'video': ''} if data_prefix is None else dict(data_prefix)
    if set(prefix) not in ({'video'}, {'img'}):
        raise ValueError(f'data_prefix={prefix} must be dict(video=...), for '
                         'video files, or dict(img=...), for frame folders')
    return prefix, 'img' in prefix


def check_no_index(index_file: Optional[str]) -> None:
    """Raise a ValueError if frame folders come with an index of videos."""
    if index_file is not None:
        raise ValueError(f'index_file={index_file!r} is for videos; the '
                         'frames of folders are counted by their names. '
                         'Remedy: leave it out')


def check_command(tool: str, ann_file: str, prefix: dict,
                  index_file: Optional[str]) -> str:
    """How to run a tool that checks videos or frames, for error messages."""
    command = f'run "{tool} {ann_file}'
    if 'img' in prefix:
        return command + f" --frames {prefix['img'] or '.'}\""
    return command + (f" --videos {prefix['video'] or '.'} --index "
                      f'{index_file or "INDEX.json"}"')
