# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Features that do not fit the model are told before the first step."""
import re

import numpy as np
import pytest
from mmaction.registry import MODELS
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader

from mmaction_memvit.datasets import FeatureStreamDataset
from mmaction_memvit.engine.preflight import Run, find_data_problems

HEAD = dict(type='I3DHead', num_classes=2, average_clips='prob')
NECK = dict(type='StreamTransformer', embed_dims=8, num_heads=2)


def problems(folder, modes, line, arrays, head, neck, **dataset):
    """Found in a model over the features of one video."""
    init_default_scope('mmaction')
    (folder / 'list.txt').write_text(line)
    for name, array in arrays.items():
        (folder / name).mkdir()
        np.save(folder / name / 'a.npy', np.array(array))
    dataset = FeatureStreamDataset(
        'list.txt', data_root=str(folder), fps=1.,
        pipeline=[dict(type='LoadFeatureClip'), dict(type='PackActionInputs')],
        **dataset)
    model = MODELS.build(dict(
        type='OnlineRecognizer3D', backbone=dict(type='FeatureBackbone'),
        neck=neck, cls_head=head))
    return find_data_problems(
        Run(model, dict.fromkeys(modes, DataLoader(dataset)), {}, ()))


@pytest.mark.parametrize('channels', [6, 5])
@pytest.mark.parametrize('neck', [None, NECK])
def test_channels(tmp_path, channels, neck):
    found = problems(
        tmp_path, ('val', 'test'), 'a 1\n',
        dict.fromkeys(('rgb', 'flow'), np.zeros((4, 3))),
        dict(HEAD, in_channels=8 if neck else channels),
        neck and dict(neck, in_channels=channels),
        data_prefix=dict(feature=['rgb', 'flow']))
    assert [str(channels) in str(x) and '6' in str(x) for x in found
            ] == [True] * (channels != 6)
    assert all(' and ' not in x.where for x in found)


HEAD_OF_ROWS = dict(type='FrameLevelHead', num_classes=3)


@pytest.mark.parametrize('labels, head, per_frame, told', [
    ([0, -1, 2, 1], HEAD_OF_ROWS, True, ''),
    ([0, -1, 2, 1], dict(HEAD_OF_ROWS, num_classes=2), True,
     'labels of the train data go up to 2'),
    ([-1] * 4, HEAD_OF_ROWS, True, 'none of the 1 samples has a label'),
    (np.zeros((4, 3)), HEAD_OF_ROWS, True, 'none of the 1 samples'),
    (np.eye(4), HEAD_OF_ROWS, True, 'num_classes=3.* 4 classes'),
    ([0, -1, 2, 1], HEAD_OF_ROWS, False, 'per_frame=False.* 4 labels'),
    ([0, -1, 2, 1], dict(HEAD, num_classes=3), True, 'I3DHead.* 4 labels'),
])
def test_labels_of_rows(tmp_path, labels, head, per_frame, told):
    found = problems(
        tmp_path, ('train', ), 'a\n',
        dict(rgb=np.zeros((4, 3)), label=labels), dict(head, in_channels=8),
        dict(NECK, in_channels=3, per_frame=per_frame), clip_len=4,
        data_prefix=dict(feature='rgb', label='label'))
    assert [bool(re.search(told, str(x))) for x in found if x.is_error
            ] == [True] * bool(told)
