# Copyright (c) mmaction_memvit contributors. All rights reserved.
import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from pathlib import Path

import pytest

import mmaction_memvit
from mmaction_memvit.compat import versions

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ('LICENSE', 'MANIFEST.in', 'README.md', 'configs',
           'mmaction_memvit', 'model-index.yml', 'pyproject.toml',
           'requirements', 'setup.cfg', 'tests', 'tools')


def run(command, cwd, **env):
    done = subprocess.run(command, cwd=str(cwd), env=dict(os.environ, **env),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def build(kind, source, target):
    """Builds a wheel or sdist through the backend, as pip does."""
    code = (f'from setuptools import build_meta; '
            f'print(build_meta.build_{kind}({str(target)!r}))')
    name = run([sys.executable, '-W', 'ignore', '-c', code], source)
    return target / name.strip().splitlines()[-1]


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """A wheel built the long way: checkout -> sdist -> wheel."""
    folder = tmp_path_factory.mktemp('packaging')
    source = folder / 'checkout'
    source.mkdir()
    for path in map(ROOT.joinpath, SOURCES):
        if path.is_dir():
            shutil.copytree(path, source / path.name, symlinks=True)
        elif path.exists():
            shutil.copy(path, source)
    sdist = build('sdist', source, folder)
    with tarfile.open(str(sdist)) as archive:
        archive.extractall(str(folder / 'sdist'))
    unpacked, = (folder / 'sdist').iterdir()
    return build('wheel', unpacked, folder)


def tracked(folder, suffixes=('.py', '.sh', '.yml', '.md')):
    return [path for path in sorted((ROOT / folder).rglob('*'))
            if path.suffix in suffixes and '__pycache__' not in path.parts]


class TestWheel:

    def test_configs_and_tools_travel_with_it(self, wheel):
        with zipfile.ZipFile(str(wheel)) as archive:
            names = set(archive.namelist())
            for folder in ('configs', 'tools'):
                files = tracked(folder)
                assert folder != 'tools' or files
                for path in files:
                    inside = ('mmaction_memvit/.mim/' +
                              path.relative_to(ROOT).as_posix())
                    assert inside in names
                    assert archive.read(inside) == path.read_bytes()
            assert 'mmaction_memvit/.mim/model-index.yml' in names

    def test_every_module_and_no_junk_is_in_it(self, wheel):
        with zipfile.ZipFile(str(wheel)) as archive:
            names = set(archive.namelist())
        for path in tracked('mmaction_memvit', ('.py', )):
            if '.mim' not in path.parts:
                assert path.relative_to(ROOT).as_posix() in names
        assert not [name for name in names if name.endswith('.pyc')]
        top = {name.split('/')[0] for name in names}
        assert {name for name in top
                if not name.endswith('.dist-info')} == {'mmaction_memvit'}
        assert any(name.endswith('LICENSE') for name in names)

    def test_metadata(self, wheel):
        with zipfile.ZipFile(str(wheel)) as archive:
            name, = (name for name in archive.namelist()
                     if name.endswith('.dist-info/METADATA'))
            text = archive.read(name).decode()
        assert f'Version: {mmaction_memvit.__version__}\n' in text
        assert 'Requires-Python: >=3.9' in text
        required = re.findall(r'^Requires-Dist: (\S+?)[<>=!;\s].*$', text,
                              re.MULTILINE)
        lines = re.findall(r'^Requires-Dist: .*$', text, re.MULTILINE)
        hard = [line for line in lines if 'extra ==' not in line]
        assert {'mmaction2', 'torch', 'pandas'} <= set(required)
        # Of packages that write one folder the user has one, or none yet.
        assert not [line for line in hard
                    if re.search('mmcv|mmengine|mmdet', line)]
        for extra in ('detection', 'tests', 'dev'):
            assert f'Provides-Extra: {extra}' in text

    def test_installed_wheel_serves_base_configs(self, wheel, tmp_path):
        """From another directory, with nothing of the checkout in reach."""
        site = tmp_path / 'site'
        with zipfile.ZipFile(str(wheel)) as archive:
            archive.extractall(str(site))
        probe = site / 'mmaction_memvit' / '.mim' / 'configs' / 'probe'
        probe.mkdir(parents=True)
        (probe / 'a.py').write_text("model = dict(type='MViT')")
        (tmp_path / 'child.py').write_text(
            "_base_ = 'mmaction_memvit::probe/a.py'")
        output = run([
            sys.executable, '-W', 'ignore', '-c',
            textwrap.dedent("""
            import mmaction_memvit
            from mmengine.config import Config
            print(mmaction_memvit.__file__)
            print(Config.fromfile('child.py').model)
            from mmengine.hub import get_config, get_model
            name = 'recognition/memvit/memvit-tiny-m8_longcue-rgb'
            print(get_config(f'mmaction_memvit::{name}.py').filename)
            print(type(get_model(f'mmaction_memvit::{name}.py')))
            from mmengine.infer import BaseInferencer
            names = BaseInferencer.list_models('mmaction_memvit')
            print(name.split('/')[-1] in names, len(names))
            import runpy, sys
            sys.argv = ['mmaction_memvit', 'check_env', '--help']
            runpy.run_module('mmaction_memvit', run_name='__main__')
            """)
        ], tmp_path, PYTHONPATH=str(site))
        assert str(site) in output
        assert "'type': 'MViT'" in output
        assert str(site / 'mmaction_memvit/.mim/configs/recog') in output
        assert "OnlineRecognizer3D'>" in output
        configs = [x for x in tracked('configs', ('.py', ))
                   if '_base_' not in x.parts]
        assert f'True {len(configs)}' in output
        assert '--detection' in output


class TestCheckout:

    def test_mim_folder_shows_the_real_files(self):
        mim = Path(mmaction_memvit.__file__).parent / '.mim'
        for name in ('configs', 'tools', 'model-index.yml'):
            assert (mim / name).exists(), f'{mim / name} is a broken link'
        assert (mim / 'tools' / 'train.py').is_file()

    def test_base_config_resolves_for_an_editable_install(self, tmp_path):
        """The metadata lies in site-packages, the code does not (PEP 660).

        A config of a user's may name a base before anything is imported.
        """
        site = tmp_path / 'site'
        info = site / 'mmaction_memvit-0.1.0.dist-info'
        info.mkdir(parents=True)
        (info / 'METADATA').write_text(
            'Metadata-Version: 2.1\nName: mmaction_memvit\nVersion: 0.1.0\n')
        (info / 'top_level.txt').write_text('mmaction_memvit\n')
        # As docs/own_videos.md has it, for MMAction2's tools.
        text, = (x for x in re.findall(
            r'```python\n(.*?)```', (ROOT / 'docs/own_videos.md').read_text(),
            re.S) if '_base_' in x)
        (tmp_path / 'child.py').write_text(text)
        output = run([
            sys.executable, '-W', 'ignore', '-c',
            textwrap.dedent("""
            from mmengine.config import Config
            print(Config.fromfile('child.py').model.backbone.type)
            import mmaction_memvit
            from mmengine.config.utils import MODULE2PACKAGE
            from mmengine.utils import get_installed_path, is_installed
            name = MODULE2PACKAGE['mmaction_memvit']
            print(is_installed(name), get_installed_path(name))
            """)
        ], tmp_path, PYTHONPATH=os.pathsep.join([str(site), str(ROOT)]))
        assert f'True {ROOT / "mmaction_memvit"}' in output
        assert re.search('MeMViT$', output, re.M)

    def test_syntax_is_that_of_the_oldest_python(self):
        for folder in ('mmaction_memvit', 'tools', 'tests'):
            for path in tracked(folder, ('.py', )):
                text = path.read_text(encoding='utf-8')
                ast.parse(text, str(path), feature_version=(3, 9))

    def test_what_pip_may_install_is_pinned(self):
        """Each package that setup.cfg names stands in requirements/env.txt."""
        setup = configparser.ConfigParser()
        setup.read(str(ROOT / 'setup.cfg'), encoding='utf-8')
        text = '\n'.join([setup['options']['install_requires'],
                          *setup['options.extras_require'].values()])
        pins = (ROOT / 'requirements/env.txt').read_text()
        for name in re.findall(r'^[\w-]+', text, re.MULTILINE):
            if name != 'mmaction_memvit':
                assert re.search(rf'^{name}[=<]', pins, re.MULTILINE), name

    def test_remedies_name_what_is_pinned(self):
        pins = (ROOT / 'requirements/env.txt').read_text()
        for name, version in versions.TESTED_VERSIONS.items():
            assert f'{name}=={version}' in pins

    def test_no_machine_is_named(self):
        """Neither this machine's paths nor the host of an index."""
        words = ['/' + 'root/', '/' + 'work/', 'pypi' + '.org',
                 'python' + 'hosted', 'open' + 'mmlab.com/mmcv']
        suffixes = ('.py', '.sh', '.cfg', '.toml', '.txt', '.yml')
        files = [ROOT / 'Makefile', ROOT / '.ci' / 'run']
        files += [path for path in ROOT.glob('*') if path.suffix in suffixes]
        for folder in ('mmaction_memvit', 'tools', 'tests', 'requirements',
                       'configs'):
            files += tracked(folder, suffixes)
        for path in files:
            text = path.read_text(encoding='utf-8')
            for word in words:
                assert word not in text, f'{path} names {word}'
