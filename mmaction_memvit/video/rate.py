# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The frame rate of a video, from the times of its frames."""
import numpy as np

# Frames that reordering may put out of order, at most.
_MAX_REORDER = 20
# A pause is a jump of time if it is longer than so many seconds and frames.
_JUMP = (5., 50)


def frame_rate(seconds: np.ndarray, stream, counted: bool,
               timeless: bool) -> tuple[float, float, str]:
    """Frames per second, drift of their times, and what is wrong.

    Of the times of frames in s from the start, in order of decoding.
    ``counted`` says that these do not tell which frame is which, ``timeless``
    that the file stores none. The drift is by how many s frames at an even
    rate would be off, 0 where nobody would see it; what is wrong is '' where
    nothing is.
    """
    declared = float(stream.average_rate or stream.guessed_rate or 0)
    if timeless:
        declared = float(stream.guessed_rate or declared)
    # A single picture may tell none; this is FFmpeg's.
    declared = round(declared or 25., 6)
    num = len(seconds)
    if num < 2 or (timeless and stream.time_base
                   and 'avi' in stream.container.format.name):
        return declared, 0., ''
    if timeless:
        return declared, 0., (
            f'stores no times, and {declared:g} frames per second are a '
            'guess. Remedy: "ffmpeg -framerate FPS -i IN -c copy OUT.mp4"')

    def usual_step() -> float:
        steps = np.diff(seconds)
        return float(np.median(steps[steps > 0]))

    if (np.diff(seconds) <= 0).all():
        return declared, 0., 'all frames have the same time'
    usual = usual_step()
    back = np.maximum.accumulate(seconds) - seconds
    if counted and back.max() > _MAX_REORDER * usual:
        fps = round(declared if abs(declared * usual - 1) < 0.1 else
                    1 / usual, 6)
        return fps, 0., (
            f'times run backwards by up to {back.max():.2f} s before frame '
            f'{int(back.argmax())}, so that frames are counted and second s '
            f'means frame s * {fps:g}. Remedy: "ffmpeg -i IN -r {fps:g} '
            'OUT.mp4", or split the file there')
    seconds = np.sort(seconds)
    usual, span = usual_step(), seconds[-1] - seconds[0]
    fps = (num - 1) / span
    # Container clocks tick in milliseconds or coarser; the declared rate is
    # more exact where the two agree to half a frame over the whole video.
    # Where times repeat, those at the ends may be some frames off.
    if abs(num - 1 - span * declared) < (3 if counted else .5):
        fps = declared
    drift = np.abs(seconds - np.arange(num) / fps).max()
    drift = round(float(drift), 3) if drift > max(0.1, 1.5 / fps) else 0.
    problem, steps = '', np.diff(seconds)
    if steps.max() > max(_JUMP[0], _JUMP[1] * usual):
        problem = (f'times jump by {steps.max():.2f} s after frame '
                   f'{int(steps.argmax())}, and {fps:g} frames per second '
                   'are a mean. Remedy: split the file there')
    return round(fps, 6), drift, problem
