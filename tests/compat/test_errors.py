# Copyright (c) mmaction_memvit contributors. All rights reserved.
import importlib

import pytest
import torch

from mmaction_memvit.compat.errors import (
    HostError,
    check_version,
    explain_import_error,
    import_host,
)
from mmaction_memvit.compat.versions import SUPPORTED_VERSIONS


class TestVersions:

    @pytest.mark.parametrize(
        'name, version',
        [('mmcv', '3.0.0'), ('mmcv', '1.7.2'), ('mmengine', '0.7.0'),
         ('mmengine', '1.0.0'), ('torch', '2.0.1'), ('mmaction', '1.1.0')])
    def test_wrong_version_is_named_with_limits_and_remedy(
            self, name, version, monkeypatch):
        module = importlib.import_module(name)
        monkeypatch.setattr(module, '__version__', version)
        with pytest.raises(HostError) as error:
            check_version(name)
        low, high = SUPPORTED_VERSIONS[name]
        for text in (name, version, low, high or low, 'pip install'):
            assert text in str(error.value)

    @pytest.mark.parametrize(
        'version', ['2.1.0', '2.13.0+cpu', '2.6.0a0+git', '2.1.0a0+32f93b1'])
    def test_local_and_pre_release_versions_pass(self, version, monkeypatch):
        monkeypatch.setattr(torch, '__version__', version)
        check_version('torch')


class TestImportErrors:

    @pytest.mark.parametrize('error, remedy', [
        (ModuleNotFoundError('No module', name='mmcv'), 'mmcv-lite==2.1.0'),
        (ModuleNotFoundError('No module', name='mmaction'), 'mmaction2==1.2'),
        (ModuleNotFoundError('No module', name='pkg_resources'),
         'setuptools<82'),
        (ModuleNotFoundError('No module', name='einops.x'), 'install einops'),
        (ModuleNotFoundError('No module', name='cv2'), 'opencv-python=='),
        (ImportError('libGL.so.1: cannot open shared object'), 'libgl1'),
        (ImportError('libgthread-2.0.so.0: cannot open'), 'libglib2.0-0'),
        (AttributeError("module 'numpy' has no attribute 'float_'"),
         'numpy==1.26.4'),
        (ImportError('something else'), 'check_env.py')])
    def test_each_known_cause_has_its_remedy(self, error, remedy):
        assert remedy in explain_import_error(error)

    def test_the_cause_survives_and_is_no_import_error(
            self, tmp_path, monkeypatch):
        (tmp_path / 'broken_host.py').write_text('import no_such_library')
        monkeypatch.syspath_prepend(str(tmp_path))
        with pytest.raises(HostError, match='no_such_library') as error:
            import_host('broken_host')
        assert not isinstance(error.value, ImportError)
        assert isinstance(error.value.__cause__, ModuleNotFoundError)
