# Copyright (c) mmaction_memvit contributors. All rights reserved.

import pytest
from helpers.interpreter import run_python

from mmaction_memvit.compat.detection import OWN_MODELS


class TestBareHost:
    """No importlib_metadata and no MMDetection, imitated."""

    def test_recognition_runs_and_detection_says_what_it_lacks(self, tmp_path):
        output = run_python(
            """
            import sys, warnings
            sys.modules['mmdet'] = None
            import importlib.util
            find_spec = importlib.util.find_spec
            importlib.util.find_spec = lambda name, *rest: (
                None if name == 'importlib_metadata'
                else find_spec(name, *rest))

            import mmaction_memvit, torch
            assert sys.modules['importlib_metadata'].__name__ == \
                'importlib.metadata'
            from mmengine.registry import MODELS, TASK_UTILS
            model = MODELS.build(dict(
                type='Recognizer3D', _scope_='mmaction',
                backbone=dict(type='MViT', spatial_size=32, temporal_size=4,
                              arch=dict(embed_dims=16, num_layers=2,
                                        num_heads=1, downscale_indices=[1])),
                cls_head=dict(type='MViTHead', in_channels=32,
                              num_classes=2)))
            model(torch.zeros(1, 1, 3, 4, 32, 32), mode='tensor')
            print('recognition runs')
            for registry, name in ((MODELS, 'FastRCNN'),
                                   (MODELS, 'CollaborativeFastRCNN'),
                                   (MODELS, 'AVARoIHead'),
                                   (TASK_UTILS, 'MaxIoUAssignerAVA')):
                try:
                    registry.build(dict(type=name, _scope_='mmdet'))
                except RuntimeError as error:
                    print(name, error)
            """, tmp_path)
        assert 'recognition runs' in output
        for name in ('FastRCNN', 'CollaborativeFastRCNN', 'AVARoIHead',
                     'MaxIoUAssignerAVA'):
            assert f'{name} needs MMDetection' in output
        assert 'pip install mmdet==' in output

    def test_sound_host_gets_no_placeholders(self):
        from mmaction.models import roi_heads
        if not hasattr(roi_heads, 'AVARoIHead'):
            pytest.skip('MMDetection does not import here')
        from mmengine.registry import MODELS, TASK_UTILS
        assert 'AVARoIHead' not in MODELS.module_dict
        assert 'MaxIoUAssignerAVA' not in TASK_UTILS.module_dict


def test_own_models_are_those_that_are_exported():
    from mmaction_memvit.models import detectors, roi_heads
    assert sorted(OWN_MODELS) == sorted(
        (*detectors.__all__, *roi_heads.__all__))
