# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""RoIAlign in plain PyTorch, with the rules of MMCV's operator.

From `Mask R-CNN <https://arxiv.org/abs/1703.06870>`_, section 3. It stands in
for ``mmcv.ops.roi_align`` where that is not compiled.
"""
import contextlib
from typing import List, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .constants import is_compiling
from .library import call, register, triton_form
from .precision import autocast_is_on

# Maps of at most this many pixels are pooled on a GPU by two matrix products
# over the whole map. On larger ones a box is a small part, and is gathered.
DENSE_PIXELS = 4096
# On a CPU, how many times as long a pixel takes in the products as a corner of
# a sample when gathered, about: measured.
PIXELS_PER_CORNER = 8
# Numbers that a chunk of boxes may hold at a time, where nothing is traced.
CHUNK_NUMBERS = 1 << 26


class _Axis:
    """Where the samples of R boxes lie along axes of one size of a map.

    N = num_bins x (samples a bin) samples stand at equal distances; a bin
    holds as many as ``sampling_ratio`` says, or one a pixel of it, rounded
    up. A sample up to one pixel outside counts as one on the border, one
    beyond as zero.

    Args:
        low, high (Tensor): (..., R) ends of the boxes, in pixels of the map.
        num_bins (int): Bins P.
        size (int): Pixels of the map along the axis.
        sampling_ratio (int): Samples a bin; 0 for as many as pixels.
        aligned (bool): Whether pixel i covers i to i + 1; else boxes have at
            least one pixel.
    """

    def __init__(self, low: Tensor, high: Tensor, num_bins: int, size: int,
                 sampling_ratio: int, aligned: bool) -> None:
        self.num_bins, self.size = num_bins, size
        length = (high - low).clamp(min=0. if aligned else 1.)
        self.start = (low - 0.5 if aligned else low)[..., None]
        self.sampling_ratio = sampling_ratio
        if sampling_ratio > 0:
            self.num = torch.full_like(self.start, sampling_ratio)
        else:
            self.num = (length / num_bins).ceil()[..., None]
        # Never 0 where it divides; boxes without samples are zeroed by num.
        self.step = (length[..., None] /
                     (num_bins * self.num).clamp(min=1)).clamp(min=1e-12)

    def weights(self) -> Tensor:
        """What each pixel adds to the mean of each bin.

        Bilinear weights of an arithmetic progression sum up in closed form:
        their number times that of the middle. So the number of samples
        shapes no tensor, and nobody waits for it.

        Returns:
            Tensor: (..., R, P, size).
        """
        size = self.size
        kwargs = dict(dtype=self.start.dtype, device=self.start.device)
        pixels = torch.arange(size, **kwargs)
        # Ends of the stretches between pixels; the outer ones hold samples
        # of the border.
        edges = torch.arange(-1, size + 1, **kwargs)
        # Of each edge, the number of the first sample at or behind it.
        firsts = ((edges - self.start) / self.step - 0.5).ceil()
        # A sample exactly at the far end still counts.
        last = ((edges[-1:] - self.start) / self.step - 0.5).floor() + 1
        firsts = torch.cat([firsts[..., :-1], last], -1)[..., None, :]
        bins = torch.arange(self.num_bins, **kwargs)[:, None]
        low = (bins * self.num[..., None])
        firsts = torch.minimum(
            torch.maximum(firsts, low), low + self.num[..., None])
        counts = firsts[..., 1:] - firsts[..., :-1]  # (..., R, P, size + 1)
        middle = self.start[..., None] + self.step[..., None] * (
            firsts[..., 1:] + firsts[..., :-1]) / 2
        middle = middle.clamp(0, size - 1)
        # Stretch i lies between pixel i - 1 and pixel i.
        left = counts[..., 1:] * (1 - (middle[..., 1:] - pixels))
        right = counts[..., :-1] * (1 - (pixels - middle[..., :-1]))
        return (left + right) / self.num.clamp(min=1)[..., None]

    def samples(self, num: int) -> Tuple[Tensor, Tensor]:
        """Positions of up to ``num`` samples a bin, and which are samples.

        Returns:
            tuple: Two (R, P, num) tensors. What lies too far outside is no
            sample.
        """
        kwargs = dict(dtype=self.start.dtype, device=self.start.device)
        index = torch.arange(num, **kwargs)
        bins = torch.arange(self.num_bins, **kwargs)[:, None]
        number = bins * self.num[..., None] + index + 0.5
        position = self.start[..., None] + number * self.step[..., None]
        valid = (index < self.num[..., None]) & (position >= -1) & (
            position <= self.size)
        return position.clamp(0, self.size - 1), valid


def box_weights_definition(
        boxes: Tensor, shape: Sequence[int], bins: Sequence[int],
        sampling_ratio: int, aligned: bool) -> Tuple[Tensor, Tensor]:
    """:meth:`_Axis.weights` along both axes, y first, as :func:`_axes`."""
    if shape[0] == shape[1] and bins[0] == bins[1]:
        # (2, 2, R): ends, x and y
        ends = boxes.t().unflatten(0, (2, 2))
        axis = _Axis(*ends.unbind(), bins[0], shape[0], sampling_ratio,
                     aligned)
        return axis.weights().unbind()[::-1]
    y, x = _axes(boxes, shape, bins, sampling_ratio, aligned)
    return y.weights(), x.weights()


def _box_weights(boxes: Tensor, shape: List[int], bins: List[int],
                 *rule) -> Tuple[Tensor, Tensor]:
    form = triton_form(boxes, 'triton_roi_align')
    if form:
        return form.box_weights(boxes, shape, bins, *rule)
    # An operator gives no views of one tensor.
    return tuple(x.clone() for x in box_weights_definition(
        boxes, shape, bins, *rule))


def _box_weights_fake(boxes, shape, bins, sampling_ratio, aligned):
    return tuple(boxes.new_empty(len(boxes), num, size)
                 for num, size in zip(bins, shape))


register(
    'box_weights', '(Tensor boxes, SymInt[] shape, int[] bins, '
    'int sampling_ratio, bool aligned) -> (Tensor, Tensor)', _box_weights,
    _box_weights_fake)


def _axes(rois: Tensor, shape: Tuple[int, int], bins: Tuple[int, int],
          sampling_ratio: int, aligned: bool) -> Tuple[_Axis, _Axis]:
    """The two axes, y first, of boxes (R, 4) in pixels of the map."""
    x1, y1, x2, y2 = rois.unbind(1)
    return (_Axis(y1, y2, bins[0], shape[0], sampling_ratio, aligned),
            _Axis(x1, x2, bins[1], shape[1], sampling_ratio, aligned))


def _average_dense(x: Tensor, images: Tensor, boxes: Tensor,
                   bins: Tuple[int, int], *rule) -> Tensor:
    """Means over bins, as products with the weights of all pixels."""
    channels, width = x.shape[1], x.shape[3]
    # Of boxes, tens of operators on a handful of numbers: one on a GPU.
    traced = torch.jit.is_tracing() or is_compiling()
    by_y, by_x = (
        box_weights_definition(boxes, x.shape[2:], bins, *rule) if traced else
        call('box_weights', boxes, x.shape[2:], bins, *rule))
    rows = x.transpose(1, 2).flatten(2).index_select(0, images)
    rows = torch.bmm(by_y.to(x.dtype), rows)  # (R, P, C * W)
    rows = rows.view(-1, bins[0] * channels, width)
    pooled = torch.bmm(rows, by_x.to(x.dtype).transpose(1, 2))
    return pooled.view(-1, bins[0], channels, bins[1]).transpose(1, 2)


def max_samples(y: _Axis, by_x: _Axis) -> int:
    """Samples a bin and axis of the largest box. A GPU waits here."""
    num = y.sampling_ratio
    if not num and len(y.num):
        num = int(torch.cat([y.num, by_x.num]).max())
    return max(num, 1)


def gathering_pays(x: Tensor, *boxes_and_rule) -> bool:
    """Whether samples are gathered, rather than whole maps multiplied.

    Arguments as :func:`_average_gathered` has them, without ``images``.
    """
    pixels = x.shape[2] * x.shape[3]
    if x.device.type != 'cpu':
        # Without a look at the boxes, for which a GPU would wait. Where it
        # gathers, MMDetection, whose maps are that large, has waited for the
        # boxes of each of them before.
        return pixels > DENSE_PIXELS
    boxes, bins, *rule = boxes_and_rule
    y, by_x = _axes(boxes, x.shape[2:], bins, *rule)
    corners = 4 * bins[0] * bins[1] * max_samples(y, by_x)**2
    return corners <= PIXELS_PER_CORNER * pixels


def _average_gathered(x: Tensor, images: Tensor, boxes: Tensor,
                      bins: Tuple[int, int], *rule) -> Tensor:
    """Means over bins, from the four pixels around each sample."""
    batch, channels, height, width = x.shape
    y, by_x = _axes(boxes, (height, width), bins, *rule)
    num_boxes, num = len(images), max_samples(y, by_x)

    def corners(axis: _Axis) -> Tuple[Tensor, Tensor]:
        """(R, P, num, 2) pixels and weights."""
        position, valid = axis.samples(num)
        low = position.floor()
        weight = torch.stack([1 - (position - low), position - low], -1)
        weight = weight * (valid / axis.num.clamp(min=1)[..., None])[..., None]
        pixel = torch.stack([low, (low + 1).clamp(max=axis.size - 1)], -1)
        return pixel.long(), weight

    (y_pixel, y_weight), (x_pixel, x_weight) = corners(y), corners(by_x)
    first = (images * height)[:, None, None, None]
    # (R, P, 1, num, 1, 2, 1) with (R, 1, Q, 1, num, 1, 2)
    y_pixel = ((y_pixel + first) * width)[:, :, None, :, None, :, None]
    index = y_pixel + x_pixel[:, None, :, None, :, None]
    weight = y_weight[:, :, None, :, None, :, None] * x_weight[:, None, :,
                                                               None, :, None]
    table = x.permute(0, 2, 3, 1).reshape(-1, channels)
    bags = index.flatten(0, 2).flatten(1)
    pooled = F.embedding_bag(
        bags, table, mode='sum',
        per_sample_weights=weight.reshape(bags.shape).to(x.dtype))
    pooled = pooled.view(num_boxes, y.num_bins, by_x.num_bins, channels)
    return pooled.permute(0, 3, 1, 2)


def _exact(device_type: str) -> contextlib.AbstractContextManager:
    """No autocast; where there is none, nothing that an export would show."""
    return (torch.autocast(device_type, enabled=False)
            if autocast_is_on(device_type) else contextlib.nullcontext())


def roi_align(input: Tensor, rois: Tensor,
              output_size: Union[int, Tuple[int, int]],
              spatial_scale: float = 1.0, sampling_ratio: int = 0,
              pool_mode: str = 'avg', aligned: bool = True) -> Tensor:
    """Features of boxes, pooled from bilinear samples.

    The gradient goes to ``input`` only, as in MMCV. Nothing waits for a GPU,
    but for the number of samples on maps above ``DENSE_PIXELS`` pixels with
    ``sampling_ratio=0``, and not even there while tracing or compiling. A box
    of negative size counts as one of size zero; a bin without samples is 0.

    Args:
        input (Tensor): (B, C, H, W) maps, of any floating type.
        rois (Tensor): (R, 5) boxes: number of the map, x1, y1, x2, y2 in
            pixels of the image.
        output_size (int | tuple[int]): Bins, as (height, width).
        spatial_scale (float): Pixels of the map per pixel of the image.
            Defaults to 1.0.
        sampling_ratio (int): Samples a bin and axis; 0 for as many as the bin
            has pixels, rounded up. Defaults to 0.
        pool_mode (str): 'avg', the mean of a bin's samples.
        aligned (bool): Whether pixel i covers i to i + 1 (its middle is at i
            + 0.5); else its middle is at i, and boxes have at least one
            pixel. Defaults to True.

    Returns:
        Tensor: (R, C, height, width), of the type of ``input``.

    Raises:
        ValueError: If ``pool_mode`` or the shape of ``rois`` is another.
    """
    if pool_mode != 'avg':
        raise ValueError(
            f"without MMCV's compiled operators pool_mode must be 'avg', not "
            f"{pool_mode!r}. Remedy: install mmcv instead of mmcv-lite")
    if rois.dim() != 2 or rois.shape[1] != 5:
        raise ValueError('rois must be (R, 5), each (map, x1, y1, x2, y2), '
                         f'but have shape {tuple(rois.shape)}')
    if isinstance(output_size, int):
        output_size = output_size, output_size
    rois = rois.detach()
    # Places need more digits than half precision has.
    exact = torch.promote_types(
        torch.promote_types(rois.dtype, input.dtype), torch.float32)
    boxes = rois[:, 1:].to(exact) * spatial_scale
    images = rois[:, 0].long()

    # Autocast would round the products, which MMCV's operator does not.
    with _exact(input.device.type):

        rule = output_size, sampling_ratio, aligned
        if torch.jit.is_tracing() or is_compiling():
            return _average_dense(input, images, boxes, *rule)
        if gathering_pays(input, boxes, *rule):
            return _average_gathered(input, images, boxes, *rule)
        num = max(CHUNK_NUMBERS // max(input.shape[1:].numel(), 1), 1)
        if num >= len(rois):
            return _average_dense(input, images, boxes, *rule)
        return torch.cat([
            _average_dense(input, *part, *rule)
            for part in zip(images.split(num), boxes.split(num))])


class RoIAlign(nn.Module):
    """:func:`roi_align` as a module, with the options of MMCV's.

    Args:
        use_torchvision (bool): Without effect. Defaults to False.
    """

    def __init__(self, output_size: Union[int, Tuple[int, int]],
                 spatial_scale: float = 1.0, sampling_ratio: int = 0,
                 pool_mode: str = 'avg', aligned: bool = True,
                 use_torchvision: bool = False) -> None:
        super().__init__()
        if isinstance(output_size, int):
            output_size = output_size, output_size
        self.output_size = tuple(output_size)
        self.spatial_scale = float(spatial_scale)
        self.sampling_ratio = int(sampling_ratio)
        self.pool_mode = pool_mode
        self.aligned = aligned

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:
        """See :func:`roi_align`."""
        return roi_align(input, rois, self.output_size, self.spatial_scale,
                         self.sampling_ratio, self.pool_mode, self.aligned)

    def extra_repr(self) -> str:
        return (f'output_size={self.output_size}, '
                f'spatial_scale={self.spatial_scale}, '
                f'sampling_ratio={self.sampling_ratio}, '
                f'pool_mode={self.pool_mode}, aligned={self.aligned}')
