# Copyright (c) mmaction_memvit contributors. All rights reserved.
import copy
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

import torch
from mmaction.models.heads import BaseHead
from mmaction.registry import MODELS
from mmaction.utils import SampleList
from torch import Tensor, nn

from mmaction_memvit.memory import as_memory
from mmaction_memvit.messages import check_choice

from ..layers.causal_transformer import CausalTransformer
from ..layers.feature_vectors import Features, feature_vectors
from .frame_level_head import labelled_loss, labelled_rows

# As the authors: GPT-2's, but for what is around it.
_INIT = dict(
    type='Normal', layer=['Linear', 'Embedding'], std=0.02,
    override=[dict(type='Normal', name=name, std=0.01)
              for name in ('encoder', 'decoder', 'fc_cls')])

@as_memory
class SeenFeatures(NamedTuple):
    """The features that a stream has shown last.

    Args:
        feats (Tensor): (B, mem_len, C), the newest last.
        count (Tensor): (B, ), int64: how many of them, the last ones, there
            are.
    """
    feats: Tensor
    count: Tensor


class Anticipated(NamedTuple):
    """What :class:`AVTHead` makes of T features of each stream.

    Args:
        scores (Tensor): (B, T, num_classes), logits of what comes next.
        feats (Tensor): (B, T, C), the features.
        expected (Tensor): (B, T, C), what was predicted of them from those
            before; where there were none, they themselves.
        known (Tensor): (B, T), 1 where there were some, else 0.
    """
    scores: Tensor
    feats: Tensor
    expected: Tensor
    known: Tensor


@MODELS.register_module()
class AVTHead(BaseHead):
    """Anticipates features, and by them the next action.

    From `Anticipative Video Transformer <https://arxiv.org/abs/2106.02036>`_
    (AVT-h): a causal transformer over the features of frames or clips, one at
    each step, predicts the feature of the next step; a linear layer names the
    action that it belongs to. Any backbone gives the features.

    With ``mem_len`` it remembers so many features and runs over them and the
    new one: a stream's scores are those of the clip of the last ``mem_len +
    1`` steps, from position 0 on, as weights expect that were trained on such
    clips. So a step costs the same however long the stream, also beyond the
    learned positions; keys and values are always of the weights as they are,
    and in training the gradient reaches all of the transformer whatever is
    remembered. A clip of several steps is the same as several clips.

    ``gt_label`` of a clip of T steps are, by the number of rows:

    - T: what comes next, by step (``OnlineEpicDataset``). As what comes next
      is what the next step shows, the past's loss is among them.
    - T + 1: what goes on at each step, then what comes next
      (:class:`SampleObservedFrames`).
    - 1: what comes next after the last step.

    Negative ones are not known. Losses are ``loss_cls``, over what comes next;
    ``loss_past``, over what goes on at each step by what was predicted of it,
    with the feature itself in the first place, averaged over all steps,
    labelled or not, as the authors do; ``loss_feat``, the mean square between
    features and what was predicted of them. Its gradient reaches both, as
    theirs.

    Args:
        num_classes (int): Number of classes, of actions in EPIC-KITCHENS. For
            verbs and nouns ``EpicAnticipationMetric`` sums up the
            probabilities of actions.
        in_channels (int): Channels C of the features.
        mem_len (int): Steps before a step that it looks at, in whatever clip,
            below ``max_len``; 9 for the 10 frames of the paper. Defaults to
            0: clips by themselves, of which a step sees all before it.
        per_frame (bool): Whether a step is a temporal place of the features,
            with (T, num_classes) scores a clip, or the whole clip, by its
            class token or mean, with (num_classes, ). Defaults to True.
        dims (int): Width of the transformer. Defaults to 2048.
        num_layers (int): Defaults to 6.
        num_heads (int): Defaults to 4.
        max_len (int): Learned positions. Defaults to 1024.
        drop (float): Dropout in the transformer. Defaults to 0.1.
        dropout_ratio (float): Before the classifier. Defaults to 0.2.
        past_weight (float): Of ``loss_past``. Defaults to 1.
        feat_weight (float): Of ``loss_feat``. Defaults to 1.
        label_column (int, optional): Of labels with several columns, such as
            verb, noun and action, the one to learn. Defaults to None: labels
            have one.
        average_clips (str): What is averaged over the views of a clip:
            'prob', probabilities, or 'score', logits, as the authors do.
            Defaults to 'prob'.
        init_cfg (dict | list[dict], optional): Defaults to the authors', which
            is for wide layers.
        **kwargs: For ``BaseHead``.

    Raises:
        ValueError: If an option is out of range, or features have other
            channels; in training if labels do not fit.
    """
    # Says to OnlineRecognizer3D that labels of -1 may come.
    takes_unlabelled = True

    def __init__(self, num_classes: int, in_channels: int, mem_len: int = 0,
                 per_frame: bool = True, dims: int = 2048, num_layers: int = 6,
                 num_heads: int = 4, max_len: int = 1024, drop: float = 0.1,
                 dropout_ratio: float = 0.2, past_weight: float = 1.,
                 feat_weight: float = 1., label_column: Optional[int] = None,
                 average_clips: str = 'prob',
                 init_cfg: Optional[Union[Dict, List[Dict]]] = _INIT,
                 **kwargs) -> None:
        check_choice('average_clips', average_clips, ('prob', 'score'))
        super().__init__(num_classes, in_channels, average_clips=average_clips,
                         init_cfg=copy.deepcopy(init_cfg), **kwargs)
        if not 0 <= mem_len < max_len:
            raise ValueError(
                f'mem_len={mem_len} must be from 0 to {max_len - 1}: there '
                f'are max_len={max_len} positions')
        self.mem_len, self.per_frame = mem_len, per_frame
        self.past_weight, self.feat_weight = past_weight, feat_weight
        self.label_column = label_column
        self.encoder = nn.Linear(in_channels, dims, bias=False)
        self.transformer = CausalTransformer(dims, num_layers, num_heads,
                                             max_len, drop)
        self.decoder = nn.Linear(dims, in_channels, bias=False)
        self.dropout = nn.Dropout(dropout_ratio)
        self.fc_cls = nn.Linear(in_channels, num_classes)

    @property
    def temporal_support(self) -> int:
        """int: steps of the past that can matter."""
        return self.mem_len

    def init_memory(
            self, batch_size: int,
            input_size: Optional[Tuple[int, int]] = None,
            dtype: Optional[torch.dtype] = None,
            device: Optional[torch.device] = None) -> Optional[SeenFeatures]:
        """The memory at the start of streams; None with ``mem_len=0``.

        ``dtype`` and ``device`` default to those of the parameters;
        ``input_size`` does not matter.
        """
        if not self.mem_len:
            return None
        like = self.encoder.weight
        device = device or like.device
        return SeenFeatures(
            torch.zeros(batch_size, self.mem_len, self.in_channels,
                        dtype=dtype or like.dtype, device=device),
            torch.zeros(batch_size, dtype=torch.int64, device=device))

    # --------------------------------------------------------------- forward
    def _predict_next(self, x: Tensor,
                      length: Optional[Tensor] = None) -> Tensor:
        """Features of the steps after x, (B, T, C)."""
        return self.decoder(self.transformer(self.encoder(x), length))

    def _clip(self, feats: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Clips all of whose steps are looked at, in one pass.

        Returns:
            tuple[Tensor]: The next features, what was expected, and known.
        """
        out = self._predict_next(feats)
        known = torch.ones_like(feats[..., 0])
        known[:, 0] = 0.
        return out, torch.cat((feats[:, :1], out[:, :-1]), 1), known

    def _steps(self, feats: Tensor, past: SeenFeatures
               ) -> Tuple[Tensor, Tensor, Tensor]:
        """As :meth:`_clip`, each step with the ``mem_len`` before it."""
        batch, num = feats.shape[:2]
        windows = torch.cat((past.feats.to(feats.dtype), feats), 1).unfold(
            1, self.mem_len + 1, 1).transpose(2, 3).flatten(0, 1)
        steps = torch.arange(1, num + 1, device=feats.device)
        length = (past.count[:, None] + steps).clamp(max=self.mem_len + 1)
        out = self._predict_next(windows, length.flatten())
        out = out.unflatten(0, (batch, num))
        known = length > 1
        expected = torch.where(known[..., None], out[:, :, -2], feats)
        return out[:, :, -1], expected, known.to(feats.dtype)

    def forward(self, x: Features, memory: Optional[SeenFeatures] = None,
                elapsed: Optional[Tensor] = None,
                **kwargs) -> Union[Tensor, Anticipated, Tuple]:
        """What comes next.

        Args:
            x (Tensor | Sequence): Features as any backbone gives them, see
                :func:`feature_vectors`.
            memory (SeenFeatures, optional): Of the steps before. Defaults to
                None: clips by themselves.
            elapsed (Tensor, optional): Not used: AVT counts steps.

        Returns:
            Tensor | Anticipated | tuple: In evaluation logits, (B, T,
            num_classes) or, with ``per_frame=False``, (B, num_classes); in
            training what losses need. With ``memory``, a tuple of that and
            the next memory.
        """
        feats = feature_vectors(x, self.per_frame)
        if feats.shape[-1] != self.in_channels:
            raise ValueError(
                f'features have {feats.shape[-1]} channels, but AVTHead '
                f'in_channels={self.in_channels}. Remedy: in_channels='
                f'{feats.shape[-1]}, or another backbone')
        num, past = feats.shape[1], memory
        if past is None and num > self.mem_len + 1:
            # None where clips are by themselves.
            past = self.init_memory(len(feats))
        if past is None:
            following, expected, known = self._clip(feats)
        else:
            following, expected, known = self._steps(feats, past)
        out = self.fc_cls(self.dropout(following))
        if self.training:
            out = Anticipated(out, feats, expected, known)
        elif not self.per_frame:
            out = out[:, 0]
        if memory is None:
            return out
        seen = torch.cat((memory.feats, feats.to(memory.feats.dtype)), 1)
        return out, SeenFeatures(
            seen[:, num:], (memory.count + num).clamp(max=self.mem_len))

    # ------------------------------------------------------------ loss, scores
    def _labels(self, data_samples: SampleList, num: int) -> Tensor:
        """Labels by row, (B, num + 1), (B, num) or (B, 1)."""
        labels = torch.stack([x.gt_label for x in data_samples])
        shape = tuple(labels.shape)
        if self.label_column is not None:
            if not -shape[-1] <= self.label_column < shape[-1]:
                raise ValueError(
                    f'label_column={self.label_column}, but labels have shape '
                    f'{shape}. Remedy: a column from 0 to {shape[-1] - 1}')
            labels = labels[..., self.label_column]
            if labels.ndim == 1:
                labels = labels[:, None]
        if labels.ndim != 2 or labels.shape[1] not in (1, num, num + 1):
            raise ValueError(
                f'labels have shape {shape}, but clips have {num} steps: give '
                f'one label for each, or {num + 1} or 1 (see AVTHead), and if '
                'they have several columns its label_column '
                f'({self.label_column})')
        if int(labels.max()) >= self.num_classes:
            raise ValueError(
                f'label {int(labels.max())} is out of range: there are '
                f'num_classes={self.num_classes}; correct that of the head, '
                'or the classes of the data set')
        return labels

    def loss_by_feat(self, cls_scores: Anticipated,
                     data_samples: SampleList) -> Dict[str, Tensor]:
        """Losses and accuracies.

        Args:
            cls_scores (Anticipated): What :meth:`forward` gave in training.
            data_samples (list[ActionDataSample]): With ``gt_label``, int, as
                of the class.
        """
        out, num = cls_scores, cls_scores.scores.shape[1]
        labels = self._labels(data_samples, num).to(out.scores.device)
        losses = dict()
        if labels.shape[1] == num + 1:
            past, labels = labels[:, :-1], labels[:, -1:]
            if self.past_weight:
                rows, sample = labelled_rows(
                    self.fc_cls(self.dropout(out.expected)), past)
                loss = (self.loss_cls(rows, sample.gt_label) * len(rows) /
                        past.numel() if len(rows) else rows.sum())
                losses['loss_past'] = self.past_weight * loss
        losses.update(labelled_loss(
            super().loss_by_feat, out.scores[:, -labels.shape[1]:], labels))
        if self.feat_weight:
            # Zero where nothing was known.
            square = (out.expected - out.feats).square().mean(-1).sum()
            losses['loss_feat'] = (
                self.feat_weight * square / out.known.sum().clamp(min=1))
        return losses

    def average_clip(self, cls_scores: Tensor, num_segs: int = 1) -> Tensor:
        """Average of ``num_segs`` views a clip."""
        if self.average_clips == 'prob':
            cls_scores = cls_scores.softmax(-1)
        return cls_scores.unflatten(0, (-1, num_segs)).mean(1)
