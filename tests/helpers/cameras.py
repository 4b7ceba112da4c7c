# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""A camera in place of OpenCV's."""
import time

from .videos import number_image


class Camera:
    """A camera of 20 pictures in 0.4 s that tells no rate.

    It ends, or hangs, after them.
    """
    hangs = False

    def __init__(self, number):
        self.number, self.count = number, 0

    def isOpened(self):  # noqa: N802
        return self.number == 0

    def get(self, key):
        return 0.

    def read(self):
        time.sleep(0.02)
        if self.count == 20:
            time.sleep(30 * self.hangs)
            return False, None
        self.count += 1
        return True, number_image(self.count)[..., ::-1]

    def release(self):
        pass
