# Copyright (c) mmaction_memvit contributors. All rights reserved.
import importlib.metadata
import importlib.util
import pkgutil
import sys
import types

import mmcv
import pytest
from mmaction.utils import dependency

from mmaction_memvit import registry
from mmaction_memvit.compat.imports import (
    heal_find_loader,
    heal_missing_drn,
    heal_multimodal,
    shown_mmcv_version,
)


class TestDRN:
    NAME = 'mmaction.models.localizers.drn'

    @pytest.fixture()
    def fake_mmaction(self, tmp_path, monkeypatch):
        folder = tmp_path / 'mmaction' / 'models' / 'localizers' / 'drn'
        folder.mkdir(parents=True)
        spec = types.SimpleNamespace(
            origin=str(tmp_path / 'mmaction' / '__init__.py'))
        monkeypatch.setattr(importlib.util, 'find_spec', lambda name: spec)
        monkeypatch.delitem(sys.modules, self.NAME, raising=False)
        monkeypatch.delitem(sys.modules, f'{self.NAME}.drn', raising=False)
        yield folder
        sys.modules.pop(self.NAME, None)
        sys.modules.pop(f'{self.NAME}.drn', None)

    def test_stand_in_appears_where_it_is_missing(self, fake_mmaction):
        heal_missing_drn()
        stand_in = sys.modules[f'{self.NAME}.drn'].DRN
        with pytest.raises(ImportError, match='mmaction2#2714.*Remedy'):
            stand_in(num_classes=3)

    def test_real_one_is_left_alone(self, fake_mmaction):
        (fake_mmaction / 'drn.py').write_text('')
        heal_missing_drn()
        assert self.NAME not in sys.modules

    def test_config_that_names_it_reads_the_reason(self):
        if not sys.modules[self.NAME].__path__ == []:
            pytest.skip('this MMAction2 has the real DRN')
        with pytest.raises(ImportError, match='mmaction2#2714'):
            registry.MODELS.build(dict(type='DRN'))


def test_python_without_find_loader(monkeypatch):
    """Python 3.14; MMEngine and MMCV ask for a module that is not there."""
    monkeypatch.delattr(pkgutil, 'find_loader', raising=False)
    heal_find_loader()
    assert pkgutil.find_loader('json') is not None
    assert pkgutil.find_loader('no_such_module') is None
    healed = pkgutil.find_loader
    heal_find_loader()
    assert pkgutil.find_loader is healed


@pytest.mark.parametrize('version, shown', [('2.3.6', '2.1.0'),
                                            ('2.2.0', '2.1.0'),
                                            ('2.0.1', '2.0.1')])
def test_mmcv_that_mmaction_refuses(version, shown, monkeypatch):
    monkeypatch.setattr(mmcv, '__version__', version)
    with pytest.raises(KeyError), shown_mmcv_version():
        assert mmcv.__version__ == shown
        raise KeyError
    assert mmcv.__version__ == version


@pytest.mark.parametrize('version, works', [('5.17.0', False),
                                            ('4.57.1', True), (None, True)])
def test_models_of_video_and_text(version, works, monkeypatch):

    def distribution_version(name):
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, 'version', distribution_version)
    monkeypatch.setattr(dependency, 'WITH_MULTIMODAL', True)
    heal_multimodal()
    assert dependency.WITH_MULTIMODAL == works
