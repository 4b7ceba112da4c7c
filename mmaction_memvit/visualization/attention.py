# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What a model attends to of the clips that it remembers."""
from __future__ import annotations

from collections import deque
from typing import Any

import cv2
import numpy as np

# Height of a remembered picture, and of the line below it.
_TILE, _LINE = 120, 22
# Remembered pictures side by side.
_MOST = 8


class AttentionView:
    """What the last clip of a stream attends to, on remembered pictures.

    Keeps a picture for each clip of the memory.
    """

    def __init__(self) -> None:
        # When and what, by age.
        self._past: deque = deque()

    def add(self, step: Any) -> None:
        """Take the next clip.

        Args:
            step (ClipPrediction): Of an :class:`OnlineInferencer` with
                ``record_attention=True``.
        """
        self._last = step.attention
        if not self._past:
            self._past = deque(maxlen=self._last.ages[-1] + 1)
        self._past.appendleft((step.start, self._last.picture))

    def now(self) -> list[tuple[float, float]]:
        """Seconds ago and share of attention of the clips that are seen."""
        start = self._past[0][0]
        return [(start - self._past[age][0], float(share))
                for age, share in zip(self._last.ages, self._last.share)
                if age < len(self._past)]

    def strip(self) -> np.ndarray:
        """Remembered pictures, whose brightness rises with attention.

        The oldest one is at the left, at the right the clip itself; at most
        eight, those with the most attention.

        Returns:
            np.ndarray: RGB, uint8, (H, W, 3).
        """
        heat, shares = self._last.heat, self._last.share
        seen = [(age, i) for i, age in enumerate(self._last.ages)
                if 0 < age < len(self._past)]
        seen = sorted(seen, key=lambda x: -shares[x[1]])[:_MOST]
        start, picture = self._past[0]
        tiles = [_tile(picture, f'{start:.1f} s')]
        # One scale for all, from 0: they can be compared.
        most = heat[[i for _, i in seen]].max(initial=0.) or 1.
        for age, i in sorted(seen):
            when, picture = self._past[age]
            tiles.append(_tile(
                picture, f'-{start - when:.1f} s: {shares[i]:.1%}',
                heat[i] / most))
        return np.concatenate(tiles[::-1], 1)


class AttentionPlot(AttentionView):
    """Attention along a stream, by age, and at the moments that stand out.

    Args:
        num_moments (int): Moments of which pictures are shown: those at which
            a remembered clip gets most, compared with what clips of that age
            usually get. Defaults to 3.
    """

    def __init__(self, num_moments: int = 3) -> None:
        super().__init__()
        self.num_moments = num_moments
        self._spans: list[tuple[float, float]] = []
        self._shares: list[np.ndarray] = []
        # By age: their sum, and of how many clips.
        self._total = self._times = 0
        # How much it stands out, when, and its pictures.
        self._moments: list[tuple[tuple, float, np.ndarray]] = []

    def add(self, step: Any) -> None:
        """Take the next clip, as :class:`AttentionView`."""
        super().add(step)
        share = np.where(np.less(self._last.ages, len(self._past)),
                         self._last.share, np.nan)
        self._spans.append((step.start, step.end))
        self._shares.append(share)
        self._total = self._total + np.nan_to_num(share)
        self._times = self._times + np.isfinite(share)
        excess = (share - self._total / np.maximum(self._times, 1))[1:]
        if np.isnan(excess).all():
            return
        # What is one of few gets much.
        rank = len(self._past) == self._past.maxlen, np.nanmax(excess)
        if len(self._moments) < self.num_moments \
                or rank > self._moments[-1][0]:
            self._moments.append((rank, step.start, self.strip()))
            self._moments.sort(key=lambda x: x[0], reverse=True)
            del self._moments[self.num_moments:]

    def plot(self, out_file: str, title: str = '') -> None:
        """Plot shares by time and age, and the moments' pictures.

        Args:
            out_file (str): Picture to write; its ending says the format.
            title (str): Title of the plot. Defaults to ''.
        """
        # A library must not touch pyplot's backend.
        from matplotlib.figure import Figure

        moments = sorted(self._moments, key=lambda x: x[1])
        figure = Figure(
            figsize=(9, 3 + 1.5 * len(moments)), layout='constrained')
        figure.suptitle(title)
        rows = figure.add_gridspec(
            1 + len(moments), 2, height_ratios=[2] + [1] * len(moments),
            width_ratios=[5, 1])
        over_time = figure.add_subplot(rows[0, 0])
        if self._spans:
            by_age = figure.add_subplot(rows[0, 1], sharey=over_time)
            self._plot_shares(figure, over_time, by_age)
        for row, (_, start, strip) in enumerate(moments, 1):
            axes = figure.add_subplot(rows[row, :])
            axes.imshow(strip)
            axes.set_title(
                f'the clip at {start:.1f} s (right) and those it remembers: '
                'age, share of attention; brightness rises linearly with it',
                fontsize=9)
            axes.axis('off')
        figure.savefig(out_file, dpi=150)

    def _plot_shares(self, figure, over_time, by_age) -> None:
        """Shares by time and age, and their means by age."""
        shares = 100 * np.stack(self._shares)[:, 1:]
        starts = np.array([x for x, _ in self._spans])
        step = float(np.median(np.diff(starts))) if len(starts) > 1 else \
            self._spans[0][1] - starts[0]
        ages = np.array(self._last.ages) * step
        width = ages[1]
        # One of few clips gets much: they do not make the scale.
        full = shares[np.isfinite(shares).all(1)]
        most = np.nanmax(full if len(full) else shares, initial=1e-6)
        mesh = over_time.pcolormesh(
            [*starts, self._spans[-1][1]], [*(ages[1:] - width / 2),
                                            ages[-1] + width / 2],
            shares.T, vmin=0, vmax=most, cmap='magma')
        over_time.set_facecolor('lightgrey')
        over_time.set_xlabel('time, seconds')
        over_time.set_ylabel('age of the clip, seconds')
        figure.colorbar(
            mesh, ax=over_time, label='share of attention, %', pad=0.01)
        by_age.barh(
            ages[1:], (100 * self._total / np.maximum(self._times, 1))[1:],
            height=0.8 * width)
        by_age.set_xlabel('mean, %')
        by_age.tick_params(labelleft=False)


def _tile(picture: np.ndarray, text: str,
          heat: np.ndarray | None = None) -> np.ndarray:
    """A picture, dark where a heat map is 0, and a line below."""
    height, width = picture.shape[:2]
    width = max(1, round(width * _TILE / height))
    image = cv2.resize(picture, (width, _TILE), interpolation=cv2.INTER_AREA
                       if height > _TILE else cv2.INTER_CUBIC)
    if heat is not None:
        heat = cv2.resize(heat.astype(np.float32), (width, _TILE)).clip(0, 1)
        image = (image * (0.1 + 0.9 * heat[..., None])).astype(np.uint8)
    scale = 0.42
    (needed, _), _ = cv2.getTextSize(text, 0, scale, 1)
    # At least as wide as what is written.
    side = max(width, needed) + 8
    tile = np.full((_TILE + _LINE, side, 3), 255, np.uint8)
    left = (side - width) // 2
    tile[:_TILE, left:left + width] = image
    cv2.putText(tile, text, ((side - needed) // 2, _TILE + 15), 0, scale,
                (0, 0, 0), 1, cv2.LINE_AA)
    return tile
