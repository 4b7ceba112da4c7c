# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""What transforms of the user's own do with a sample."""
from collections.abc import Iterator

import numpy as np

from mmaction_memvit.datasets.transforms.consistent import seeded

from .findings import Finding
from .part import Part
from .pipelines import chooses_frames
from .run import Run


def own_transforms_keep_frames(run: Run) -> Iterator[Finding]:
    """Transforms of unknown kind that choose frames anew."""
    for loader in run.loaders:
        for dataset in loader.datasets:
            if not chooses_frames(dataset):
                continue
            steps = loader.steps(dataset)
            if any(x.is_stranger for x in steps):
                changing = _changes_frames(dataset)
                if changing:
                    yield Finding(
                        f'{loader.path}.dataset.pipeline', f'{changing} '
                        f'changes the frames (frame_inds) that {dataset} '
                        'chose for a position', f'remove {changing} from '
                        f'{loader.path}.dataset.pipeline')


def _changes_frames(dataset: Part) -> str:
    """The transform that does, on the first sample, up to its pictures."""
    data = dataset.value
    # What it draws is not missed in the run.
    with seeded(0):
        try:
            results = data.get_data_info(0)
            before = np.array(results['frame_inds'])
            for step in data.pipeline.transforms:
                results = step(results)
                if not np.array_equal(results['frame_inds'], before):
                    return getattr(step, '__name__', type(step).__name__)
                if 'imgs' in results:
                    break
        except Exception:  # noqa: BLE001
            # The run itself tells what cannot be read.
            return ''
    return ''


DATA_CHECKS = (own_transforms_keep_frames, )
