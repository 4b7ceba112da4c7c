# Copyright (c) mmaction_memvit contributors. All rights reserved.
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / 'tools' / 'check_env.py'


@pytest.fixture(scope='module')
def check_env():
    spec = importlib.util.spec_from_file_location('check_env', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows_by_name(rows):
    return {row.name: row for row in rows}


class TestJudgeVersion:

    @pytest.mark.parametrize('version, state, remark', [
        ('2.0.0', 'ok', ''),
        ('2.1.0+cpu', 'ok', ''),
        ('2.2.0', 'WRONG', 'must be older than 2.2.0'),
        ('1.7.2', 'WRONG', 'older than 2.0.0'),
        (None, 'WRONG', 'not installed'),
    ])
    def test_limits(self, check_env, version, state, remark):
        row = check_env.judge_version('x', version, '2.0.0', '2.2.0', 'mend')
        assert (row.state, row.remark) == (state, remark)
        assert row.remedy == ('mend' if state == 'WRONG' else '')


def fake_host(monkeypatch, check_env, versions, errors=()):
    """Imitates installed versions and failing imports."""
    errors = dict(errors)
    monkeypatch.setattr(check_env, 'version_of', versions.get)
    monkeypatch.setattr(
        check_env, 'try_import', lambda name:
        (None, errors[name]) if name in errors else (object(), None))


class TestRows:

    def test_two_opencv_versions(self, check_env, monkeypatch):
        fake_host(monkeypatch, check_env, {
            'opencv-python': '4.11.0.86',
            'opencv-contrib-python': '5.0.0.93'
        })
        row, _ = check_env.check_opencv()
        assert row.state == 'WRONG' and 'one version' in row.remark
        assert 'opencv-contrib-python==4.11.0.86' in row.remedy

    @pytest.mark.parametrize('error, remedy', [
        ('ImportError: libGL.so.1: cannot open', 'install libgl1'),
        ('ImportError: libgthread-2.0.so.0: cannot open', 'libglib2.0-0'),
        ('ImportError: numpy.core.multiarray failed', 'numpy==1.26.4'),
    ])
    def test_opencv_that_does_not_load(self, check_env, monkeypatch, error,
                                       remedy):
        fake_host(monkeypatch, check_env, {
            'opencv-python': '4.11.0.86',
            'opencv-contrib-python': '4.11.0.86'
        }, {'cv2': error})
        row, _ = check_env.check_opencv()
        assert row.state == 'WRONG' and remedy in row.remedy

    @pytest.mark.parametrize('detection, state', [(False, 'note'),
                                                  (True, 'WRONG')])
    def test_mmcv_lite_is_enough_for_recognition(self, check_env, monkeypatch,
                                                 detection, state):
        fake_host(monkeypatch, check_env, {'mmcv-lite': '2.1.0'},
                  {'mmcv.ops': "No module named 'mmcv._ext'"})
        rows = rows_by_name(check_env.check_mmcv(detection))
        assert rows['mmcv-lite'].state == 'ok'
        assert rows['mmcv operators'].state == state
        assert 'MMCV_WITH_OPS=1' in rows['mmcv operators'].remedy

    def test_operators_built_for_another_torch(self, check_env, monkeypatch):
        fake_host(monkeypatch, check_env, {'mmcv': '2.1.0'},
                  {'mmcv.ops': 'ImportError: _ext.so: undefined symbol'})
        rows = rows_by_name(check_env.check_mmcv(False))
        assert rows['mmcv operators'].state == 'WRONG'
        assert 'undefined symbol' in rows['mmcv operators'].remark

    def test_both_mmcv_packages(self, check_env, monkeypatch):
        fake_host(monkeypatch, check_env, {
            'mmcv': '2.1.0',
            'mmcv-lite': '2.1.0'
        })
        row, = check_env.check_mmcv(False)
        assert row.state == 'WRONG' and 'uninstall' in row.remedy

    def test_setuptools_without_pkg_resources(self, check_env, monkeypatch):
        fake_host(monkeypatch, check_env, {
            'mmengine': '0.10.7',
            'setuptools': '82.0.0'
        }, {'pkg_resources': 'ModuleNotFoundError'})
        rows = rows_by_name(check_env.check_mmengine())
        assert rows['mmengine'].state == 'ok'
        assert rows['setuptools'].state == 'WRONG'
        assert 'setuptools<82' in rows['setuptools'].remedy

    def test_numpy_2_is_a_note(self, check_env, monkeypatch):
        fake_host(monkeypatch, check_env, {'numpy': '2.4.6'})
        assert check_env.check_numpy().state == 'note'

    @pytest.mark.parametrize('broken, states', [
        ((), ['ok', 'ok']),
        (('decord', ), ['note', 'ok']),
        (('decord', 'av'), ['WRONG', 'WRONG']),
    ])
    def test_one_decoder_is_enough(self, check_env, monkeypatch, broken,
                                   states):
        versions = {
            name: '1.0'
            for name in ('decord', 'av') if name not in broken
        }
        fake_host(monkeypatch, check_env, versions,
                  dict.fromkeys(broken, 'missing'))
        assert [row.state for row in check_env.check_decoders()] == states

    def test_table_names_each_remedy(self, check_env):
        rows = [
            check_env.Row('good', '1.0'),
            check_env.Row('bad', '2.0', check_env.BAD, 'too new', 'do this'),
            check_env.Row('odd', '-', check_env.WARN, 'missing', 'or that'),
        ]
        table = check_env.format_table(rows)
        assert 'To mend:\n  bad: do this' in table
        assert 'If you need it:\n  odd: or that' in table


class TestScript:

    def run(self, *flags, cwd):
        return subprocess.run([sys.executable, *flags,
                               str(SCRIPT)],
                              cwd=str(cwd),
                              capture_output=True,
                              text=True)

    def test_runs_where_nothing_is_installed(self, tmp_path):
        """-I -S: the interpreter and its standard library alone."""
        done = self.run('-I', '-S', cwd=tmp_path)
        assert done.returncode == 1 and done.stderr == ''
        for package in ('torch==2.13.0', 'mmengine==0.10.7',
                        'mmaction2==1.2.0', 'mmcv-lite==2.1.0'):
            assert f'-m pip install {package}' in done.stdout

    def test_this_environment_is_sound(self):
        done = self.run(cwd=ROOT)
        assert done.returncode == 0, done.stdout
        assert 'Everything needed is there.' in done.stdout
