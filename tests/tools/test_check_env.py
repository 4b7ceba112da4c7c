# Copyright (c) mmaction_memvit contributors. All rights reserved.
import re
import subprocess
import sys

import pytest
from helpers.tools import ROOT, load_tool


@pytest.fixture()
def check_env():
    return load_tool('tools/check_env.py')


@pytest.fixture()
def host(check_env, monkeypatch):
    """Makes the report on a library, with imitated installed versions."""

    def make(module, **found):
        found = {name.replace('_', '-'): v for name, v in found.items()}
        monkeypatch.setattr(check_env, 'version_of', found.get)
        monkeypatch.setattr(
            check_env.versions, 'installed', lambda module: {
                name: found[name]
                for name in check_env.versions.DISTRIBUTIONS[module]
                if name in found})
        report = check_env.Report()
        check_env.add_host(report, module)
        return report

    return make


class TestHosts:

    @pytest.mark.parametrize('found, state, remark', [
        (dict(mmcv_lite='2.1.0'), 'ok', ''),
        (dict(mmcv='2.0.0'), 'ok', ''),
        (dict(onedl_mmcv='2.3.6'), 'ok', ''),
        (dict(mmcv='1.7.2'), 'WRONG', '2.0.0'),
        ({}, 'WRONG', 'not installed')])
    def test_limits(self, host, found, state, remark):
        report = host('mmcv', **found)
        assert report.rows[0][2] == state and remark in report.rows[0][3]
        assert ('pip install mmcv-lite' in report.command()) == (state != 'ok')

    def test_mmcv_that_the_tools_of_mmaction2_refuse(self, host):
        for found, mends in ((dict(mmcv_lite='2.2.0'), True),
                             (dict(onedl_mmcv='2.3.6'), False)):
            report = host('mmcv', **found)
            assert report.rows[0][2] == 'ok' and 'tools' in report.rows[0][3]
            assert ('mmcv-lite==' in report.command()) == mends

    def test_builds_of_torch(self, host):
        for version, state in (('2.1.0a0+32f93b1', 'ok'),
                               ('2.0.1+cpu', 'WRONG')):
            assert host('torch', torch=version).rows[0][2] == state

    def test_two_packages_in_one_folder(self, host):
        report = host('mmcv', mmcv='2.1.0', mmcv_lite='2.1.0')
        _, found, state, remark = report.rows[0]
        assert state == 'WRONG' and 'mmcv/' in remark
        assert 'mmcv 2.1.0' in found or '2.1.0, mmcv-lite' in found
        assert re.search('pip uninstall -y mmcv mmcv-lite && .*pip install '
                         'mmcv-lite==', report.command())


class TestReport:

    def test_one_command(self, check_env):
        report = check_env.Report()
        report.add('a', '-', check_env.BAD, '', '`pip install a==1 b==2`')
        report.add('b', '-', check_env.BAD, '', 'Remedy: `pip install b==2`')
        report.add('c', '-', check_env.BAD, '', 'do `apt-get install libgl1`')
        pip = f'{sys.executable} -m pip install a==1 b==2'
        assert report.command() == f'apt-get install libgl1 && {pip}'

    def test_what_fails_is_told_by_its_first_line(self, check_env):

        def attempt():
            raise OSError('libGL.so.1 is missing.\nRemedy: `apt-get install '
                          'libgl1`.')

        for needed, state in ((True, 'WRONG'), (False, 'no')):
            report = check_env.Report()
            check_env.add_ability(report, 'x', attempt, needed)
            assert report.rows == [('x', '-', state, 'libGL.so.1 is missing.')]
            assert report.command() == 'apt-get install libgl1'


class TestScript:

    def run(self, *flags, cwd):
        return subprocess.run(
            [sys.executable, *flags, str(ROOT / 'tools/check_env.py')],
            cwd=str(cwd), capture_output=True, text=True)

    def test_runs_where_nothing_is_installed(self, tmp_path):
        """-I -S: the interpreter and its standard library alone."""
        done = self.run('-I', '-S', cwd=tmp_path)
        assert done.returncode == 1 and done.stderr == ''
        command, = re.findall('-m pip install .*', done.stdout)
        for package in ('torch', 'mmengine', 'mmaction2', 'mmcv-lite'):
            assert f' {package}==' in command

    def test_this_environment_is_sound(self):
        """In a fresh interpreter, where nothing is healed yet."""
        done = self.run(cwd=ROOT)
        assert done.returncode == 0, done.stdout
        assert re.search('^recognition +works', done.stdout, re.MULTILINE)
