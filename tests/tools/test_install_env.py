# Copyright (c) mmaction_memvit contributors. All rights reserved.
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = str(ROOT / 'tools' / 'dev')


@pytest.fixture(scope='module')
def install_env():
    sys.path.insert(0, FOLDER)
    yield importlib.import_module('install_env')
    sys.path.remove(FOLDER)


@pytest.mark.parametrize('version', [(3, 8, 10), (3, 14, 0), (2, 7, 18)])
def test_unsupported_python_names_version_limits_and_remedy(
        install_env, version):
    with pytest.raises(install_env.InstallError) as error:
        install_env.check_python(version)
    for text in (f'{version[0]}.{version[1]}', '3.9 to 3.13', 'PYTHON='):
        assert text in str(error.value)


class TestPins:

    def test_each_python_gets_each_package_once(self, install_env):
        requirements = pytest.importorskip('packaging.requirements')
        parsed = [requirements.Requirement(pin)
                  for pin in install_env.read_pins()]
        names = {pin.name for pin in parsed}
        assert {'torch', 'mmcv-lite', 'mmdet', 'mmaction2', 'pandas'} <= names
        for minor in range(install_env.MIN_PYTHON[1],
                           install_env.MAX_PYTHON[1] + 1):
            place = dict(python_version=f'3.{minor}', sys_platform='linux',
                         platform_machine='x86_64')
            found = [pin.name for pin in parsed if pin.marker is None
                     or pin.marker.evaluate(place)]
            # The site is made by one of the newer ones.
            docs = {'sphinx', 'myst-parser', 'furo'} if minor < 11 else set()
            assert sorted(found) == sorted(names - docs)

    def test_another_torch_replaces_the_pinned_one(self, install_env):
        pins = install_env.read_pins('torch==2.4.1')
        assert [pin for pin in pins if re.match('torch==', pin)
                ] == ['torch==2.4.1']
        assert len(install_env.read_pins()) == len(pins) + 1


class TestEnvironment:

    @pytest.mark.parametrize('name, text', [
        ('precious', ''), ('pyvenv.cfg', 'version = 3.7.16\n')])
    def test_foreign_folder_is_left_alone(self, install_env, tmp_path, name,
                                          text):
        (tmp_path / name).write_text(text)
        with pytest.raises(install_env.InstallError, match='VENV='):
            install_env.create(tmp_path)
        assert (tmp_path / name).read_text() == text

    @pytest.mark.parametrize('output, remedy', [
        ('The virtual environment was not created successfully because '
         'ensurepip is not available.', '-venv'),
        ('disk on fire', 'disk on fire')])
    def test_venv_failure(self, install_env, output, remedy):
        assert remedy in install_env.explain_venv_failure(output)

    def test_nothing_is_compiled(self, install_env, tmp_path, monkeypatch):
        """An archive of sources is refused before anything of it runs."""
        package = tmp_path / 'links' / 'sources_only-1.0'
        package.mkdir(parents=True)
        (package / 'setup.py').write_text('raise SystemExit("it ran")')
        subprocess.run(['tar', '-czf', f'{package}.tar.gz', package.name],
                       cwd=package.parent, check=True)
        monkeypatch.setenv('PIP_NO_INDEX', '1')
        monkeypatch.setenv('PIP_FIND_LINKS', str(package.parent))
        monkeypatch.delenv('PIP_ONLY_BINARY', raising=False)
        with pytest.raises(install_env.InstallError, match='PIP_FIND_LINKS'):
            install_env.pip_install(sys.executable, 'sources-only',
                                    '--target', str(tmp_path / 'target'))


class TestMatrix:

    def test_combinations_and_table(self, install_env):
        matrix = importlib.import_module('check_matrix')
        cell = matrix.Cell('OpenMMLab', 1, 'oldest', (3, 9))
        assert matrix.is_possible(cell)
        for change in (dict(numpy=2), dict(hosts='onedl'),
                       dict(python=(3, 13))):
            assert not matrix.is_possible(cell._replace(**change))
        packages = matrix.requirements(cell)
        assert 'torch==2.1.2' in packages and 'mmcv-lite<2.2' in packages
        *_, row = matrix.table([dict(
            python='3.9', tests='5 passed, 2 failed')]).splitlines()
        assert row.startswith('| 3.9 |') and '2 failed' in row
