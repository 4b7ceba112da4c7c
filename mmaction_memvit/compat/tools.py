# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""MMAction2's tools and interfaces, on models that remember.

One function per fault, in force as soon as this is imported. Each leaves stock
models as they are.
"""
from collections.abc import Callable

from mmaction.apis.inferencers import ActionRecogInferencer
from mmaction.engine.hooks import VisualizationHook
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.structures import LabelData

from .wrap import around


def _name(sample: object, number: int) -> str:
    """A name of a clip that no other has."""
    name = sample.get('video_id') or sample.get('filename') or number
    name = str(name).replace('\\', '/').rstrip('/').split('/')[-1]
    return f'{name}_{sample.get("timestamp", number)}'


def _with_labels(sample: object) -> object:
    """The sample with its labels where the visualizer looks for them."""
    sample = sample.clone()
    if 'gt_label' in sample and (sample.gt_label >= 0).all():
        sample.set_field(LabelData(item=sample.gt_label), 'gt_labels')
    if 'pred_score' in sample and sample.pred_score.ndim == 1:
        scores = sample.pred_score.float().cpu()
        sample.set_field(
            LabelData(item=scores.argmax()[None], score=scores), 'pred_labels')
    return sample


@around(VisualizationHook, '_draw_samples')
def draw_samples(original: Callable, self: VisualizationHook, batch_idx: int,
                 data_batch: dict, data_samples: list, step: int = 0) -> None:
    """Lets ``--show-dir`` draw clips, each in a folder of its own.

    MMAction2's VisualizationHook stops at any clip: it hands ``show`` to a
    visualizer that calls it ``show_frames``, and takes inputs of (3, T, H, W)
    where 3D recognizers have (views, 3, T, H, W). It also names pictures by
    the file, so that the clips of a video would overwrite each other.
    """
    if not self.enable:
        return
    clips = [x[0] if x.ndim == 5 else x for x in data_batch['inputs']]
    # Detectors have boxes, and other tasks no pictures.
    if any(x.ndim != 4 or x.shape[0] != 3 for x in clips):
        original(self, batch_idx, data_batch, data_samples, step)
        return
    options = {k: v for k, v in self.draw_args.items() if k != 'show'}
    for i, (clip, sample) in enumerate(zip(clips, data_samples)):
        number = batch_idx * len(clips) + i
        if number % self.interval:
            continue
        name = _name(sample, number)
        if self.out_dir is not None:
            options['out_path'] = self.file_client.join_path(
                self.out_dir, f'{name}_{step}')
        self._visualizer.add_datasample(
            name, clip.permute(1, 2, 3, 0).numpy().astype('uint8'),
            _with_labels(sample), step=step, show_frames=self.show, **options)


@around(ActionRecogInferencer, '_init_pipeline')
def init_pipeline(original: Callable, self: ActionRecogInferencer,
                  cfg: Config) -> object:
    """Says what runs a model along a video, where MMAction2's cannot.

    ``MMAction2Inferencer`` and ``ActionRecogInferencer`` put a clip together
    by the sampling transform of the config; data sets of streams have none,
    and a single clip would have no memory.
    """
    kind = cfg.test_dataloader.dataset.type
    cls = DATASETS.get(kind) if isinstance(kind, str) else kind
    if hasattr(cls, 'stream_keys'):
        raise ValueError(
            f'{type(self).__name__} scores one clip of a video, but the test '
            f'data of this config are streams ({cls.__name__}). Remedy: '
            'mmaction_memvit.apis.StreamInferencer(config, checkpoint) runs '
            'the model along a video, clip by clip; detections are drawn by '
            'visualize_detections.py')
    return original(self, cfg)
