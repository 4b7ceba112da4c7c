# Copyright (c) mmaction_memvit contributors. All rights reserved.
from importlib import metadata

import pytest

from mmaction_memvit.compat import versions


def fake_distributions(monkeypatch, found):

    def version(name):
        if name not in found:
            raise metadata.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(metadata, 'version', version)


@pytest.mark.parametrize('found, named', [
    ({'mmcv': '2.1.0', 'mmcv-lite': '2.1.0', 'mmdet': '3.3.0'}, ['mmcv']),
    ({'mmcv-lite': '2.1.0', 'onedl-mmcv': '2.3.6', 'mmengine': '0.10.7',
      'onedl-mmengine': '0.10.12'}, ['mmengine', 'mmcv']),
    ({'onedl-mmcv': '2.3.6', 'mmaction2': '1.2.0'}, []),
])
def test_two_distributions_of_one_folder_are_named(found, named,
                                                   monkeypatch):
    fake_distributions(monkeypatch, found)
    sentences = versions.clashes()
    assert len(sentences) == len(named)
    for sentence, module in zip(sentences, named):
        for name in versions.installed(module):
            assert f'{name} {found[name]}' in sentence
        assert f'{module}/' in sentence and 'uninstall' in sentence


@pytest.mark.parametrize('version, numbers', [('2.13.0+cpu', (2, 13, 0)),
                                              ('5.17.0.dev0', (5, 17, 0)),
                                              ('2.6.0a0+git', (2, 6, 0)),
                                              ('unknown', ())])
def test_release(version, numbers):
    assert versions.release(version) == numbers
