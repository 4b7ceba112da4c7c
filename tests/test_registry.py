# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
import torch

from mmaction_memvit import registry


class TestRegistry:

    def test_every_registry_of_mmaction_has_a_child(self):
        import mmaction.registry as host
        from mmengine.registry import Registry
        for name, parent in vars(host).items():
            if isinstance(parent, Registry) and parent.scope == 'mmaction':
                child = getattr(registry, name)
                assert child.parent is parent
                assert child.scope == 'mmaction_memvit'

    @pytest.mark.parametrize('cfg', [
        dict(type='MViTHead', in_channels=8, num_classes=2),
        dict(type='ToyModel')])
    def test_scope_finds_mmaction_and_mmengine(self, cfg, caplog):
        """Both directions, without MMEngine's warning about the scope."""
        from mmengine.registry import MODELS
        if cfg['type'] == 'ToyModel':
            MODELS.register_module(
                name='ToyModel', module=torch.nn.Identity, force=True)
        try:
            with caplog.at_level('WARNING'):
                built = MODELS.build(dict(cfg, _scope_='mmaction_memvit'))
        finally:
            MODELS.module_dict.pop('ToyModel', None)
        assert isinstance(built, torch.nn.Module)
        assert not caplog.records
