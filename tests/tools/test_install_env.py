# Copyright (c) mmaction_memvit contributors. All rights reserved.
import importlib
import io
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FACTS = dict(
    torch='2.13.0+cpu',
    python='cp311',
    platform='linux_x86_64',
    cuda='',
    cuda_home='',
    gpu='',
    include='/nowhere')


@pytest.fixture(scope='module')
def scripts():
    """The two scripts, imported as modules: (install_env, build_mmcv)."""
    folder = str(ROOT / 'tools' / 'dev')
    sys.path.insert(0, folder)
    yield tuple(map(importlib.import_module, ('install_env', 'build_mmcv')))
    sys.path.remove(folder)


@pytest.fixture()
def install_env(scripts):
    return scripts[0]


@pytest.fixture()
def build_mmcv(scripts):
    return scripts[1]


class TestPython:

    @pytest.mark.parametrize('version', [(3, 9, 0), (3, 12, 4)])
    def test_supported(self, install_env, version):
        install_env.check_python(version)

    @pytest.mark.parametrize('version', [(3, 8, 10), (3, 13, 0), (2, 7, 18)])
    def test_unsupported_names_version_limits_and_remedy(
            self, install_env, version):
        with pytest.raises(install_env.InstallError) as error:
            install_env.check_python(version)
        for text in (f'{version[0]}.{version[1]}', '3.9 to 3.12', 'PYTHON='):
            assert text in str(error.value)

    def test_old_python_gets_an_old_torch_unless_one_is_chosen(
            self, install_env):
        default = install_env.DEFAULT_TORCH
        assert install_env.choose_torch(default, (3, 9)) == 'torch==2.8.0'
        assert install_env.choose_torch(default, (3, 11)) == default
        assert install_env.choose_torch('torch==2.4.0',
                                        (3, 9)) == 'torch==2.4.0'


class TestEnvironment:

    def test_stamp_fits_one_state_only(self, install_env, tmp_path):
        env = install_env.Environment(tmp_path)
        assert not env.is_done('step', 'a')
        env.mark('step', 'a')
        assert env.is_done('step', 'a') and not env.is_done('step', 'b')

    def test_digest_follows_contents(self, install_env, tmp_path):
        path = tmp_path / 'file'
        path.write_text('a')
        before = install_env.digest('x', path)
        assert install_env.digest('x', path) == before
        path.write_text('b')
        assert install_env.digest('x', path) != before

    def test_foreign_folder_is_left_alone(self, install_env, tmp_path):
        (tmp_path / 'precious').write_text('')
        with pytest.raises(install_env.InstallError, match='VENV='):
            install_env.Environment(tmp_path).create()
        assert (tmp_path / 'precious').exists()

    def test_other_python_is_left_alone(self, install_env, tmp_path):
        (tmp_path / 'pyvenv.cfg').write_text('version = 3.7.16\n')
        with pytest.raises(install_env.InstallError, match='holds Python 3.7'):
            install_env.Environment(tmp_path).create()

    @pytest.mark.parametrize('output, remedy', [
        ('The virtual environment was not created successfully because '
         'ensurepip is not available.', '-venv'),
        ('No module named venv', '-venv'),
        ('disk on fire', 'disk on fire'),
    ])
    def test_venv_failure(self, install_env, output, remedy):
        assert remedy in install_env.explain_venv_failure(output)

    @pytest.mark.parametrize('output, remedy', [
        ('Max retries exceeded with url', 'PIP_FIND_LINKS'),
        ('ERROR: Could not find a version that satisfies the requirement '
         'torch (from versions: none)\nNo matching distribution',
         'PIP_FIND_LINKS'),
        ('No matching distribution found for torch', 'TORCH='),
        ('No space left on device', 'disk is full'),
        ('?', "pip's message"),
    ])
    def test_pip_failure(self, install_env, output, remedy):
        text = install_env.explain_pip_failure('torch', output)
        assert text.startswith('pip could not install torch.')
        assert remedy in text


class TestCache:

    def test_key_knows_torch_python_and_platform(self, build_mmcv):
        key = build_mmcv.wheel_key(FACTS)
        others = [
            dict(FACTS, torch='2.12.0+cpu'),
            dict(FACTS, torch='2.13.0+cu130'),
            dict(FACTS, python='cp310'),
            dict(FACTS, platform='linux_aarch64'),
            dict(FACTS, cuda='13.0', cuda_home='/cuda', gpu='90')
        ]
        keys = [build_mmcv.wheel_key(facts) for facts in others]
        assert len({key, *keys}) == len(others) + 1

    def test_wheel_of_another_torch_is_not_taken(self, build_mmcv, tmp_path,
                                                 monkeypatch):
        monkeypatch.setenv('MMACTION_MEMVIT_CACHE', str(tmp_path))
        assert build_mmcv.cached_wheel(FACTS) is None
        folder = tmp_path / 'wheels' / build_mmcv.wheel_key(FACTS)
        folder.mkdir(parents=True)
        wheel = folder / 'mmcv-2.1.0-cp311-cp311-linux_x86_64.whl'
        wheel.write_text('')
        assert build_mmcv.cached_wheel(FACTS) == wheel
        assert build_mmcv.cached_wheel(dict(FACTS, torch='2.12.0')) is None

    @pytest.mark.parametrize('torch, expected', [('2.1.2+cu121', True),
                                                 ('2.2.0', False),
                                                 ('2.13.0+cpu', False)])
    def test_prebuilt_wheels_end_with_torch_2_1(self, build_mmcv, torch,
                                                expected):
        facts = dict(FACTS, torch=torch)
        assert build_mmcv.may_have_prebuilt(facts) is expected

    def test_gpu_without_toolkit_compiles_for_the_cpu(self, build_mmcv):
        facts = dict(FACTS, cuda='13.0', gpu='90')
        assert not build_mmcv.with_cuda(facts)
        assert build_mmcv.with_cuda(dict(facts, cuda_home='/cuda'))


class Terminal(io.StringIO):

    def isatty(self):
        return True


class TestProgress:

    def test_reads_ninja(self, build_mmcv):
        progress = build_mmcv.Progress(io.StringIO())
        progress.feed('  running build_ext\n')
        assert progress.phase == 'preparing'
        progress.feed('  [12/77] c++ -MMD -MF ...\n')
        assert (progress.done, progress.total) == (12, 77)
        started = progress.compile_started
        text = progress.text(started + 60)
        assert '[12/77]' in text and 'about 5:25 left' in text
        progress.feed('  [77/77] c++ ...\n')
        assert 'linking' in progress.text(started + 400)

    def test_terminal_gets_one_line_and_a_log_gets_few(self, build_mmcv):
        for stream, separator in ((Terminal(), '\r'), (io.StringIO(), '\n')):
            progress = build_mmcv.Progress(stream, interval=1000)
            if stream.isatty():
                progress.interval = 0
            for number in range(1, 78):
                progress.feed(f'[{number}/77] c++')
                progress.show()
            expected = 77 if stream.isatty() else 1
            assert stream.getvalue().count(separator) == expected
            assert stream.getvalue().count('\n') == int(separator == '\n')


class TestCompile:

    def test_no_compiler_names_two_ways_out(self, build_mmcv, monkeypatch):
        monkeypatch.delenv('CXX', raising=False)
        monkeypatch.setattr(build_mmcv.shutil, 'which', lambda name: None)
        with pytest.raises(build_mmcv.InstallError) as error:
            build_mmcv.check_compiler(FACTS)
        assert 'build-essential' in str(error.value)
        assert 'MMCV=lite' in str(error.value)

    def test_no_headers(self, build_mmcv, monkeypatch):
        monkeypatch.setattr(build_mmcv.shutil, 'which', lambda name: name)
        with pytest.raises(build_mmcv.InstallError, match='python3-dev'):
            build_mmcv.check_compiler(FACTS)

    @pytest.mark.parametrize('line, remedy', [
        ('c++: fatal error: Killed signal terminated program', 'MAX_JOBS=1'),
        ('No space left on device', 'TMPDIR='),
        ('ERROR: No matching distribution found for mmcv', 'PIP_FIND_LINKS'),
        ('x.cpp:1:1: error: no such thing', 'MMCV=lite'),
    ])
    def test_failure_names_error_remedy_and_log(self, build_mmcv, line,
                                                remedy):
        noise = '  error: subprocess-exited-with-error'
        text = build_mmcv.explain_failure(['[1/77] c++', line, noise],
                                          'build.log')
        assert remedy in text and line in text and noise not in text
        assert text.endswith('The full log: build.log')

    def test_output_goes_to_the_log_and_the_display(self, build_mmcv,
                                                    tmp_path):
        log, shown = tmp_path / 'build.log', io.StringIO()
        code = 'print("[1/2] c++"); print("[2/2] c++"); raise SystemExit(3)'
        progress = build_mmcv.Progress(shown)
        result, lines = build_mmcv.run_logged([sys.executable, '-c', code],
                                              None, log, progress)
        assert result == 3 and lines == ['[1/2] c++', '[2/2] c++']
        assert log.read_text().splitlines() == lines
        assert progress.done == 2 and 'mmcv:' in shown.getvalue()


def test_probe_and_operators_of_this_environment(build_mmcv):
    """What decides about a wheel, asked of the running interpreter."""
    import torch
    facts = build_mmcv.probe(sys.executable)
    assert facts['torch'] == torch.__version__
    assert facts['python'] == f'cp{sys.version_info[0]}{sys.version_info[1]}'
    assert json.dumps(facts)


def test_torch_is_kept_by_the_version_that_pip_knows(install_env, tmp_path,
                                                     monkeypatch):
    """PyPI's torch is 2.13.0 to pip, and calls itself 2.13.0+cu130."""
    (tmp_path / 'torch').mkdir()
    (tmp_path / 'torch/__init__.py').write_text("__version__ = '9.9.0+cu999'")
    (tmp_path / 'torch-9.9.0.dist-info').mkdir()
    (tmp_path / 'torch-9.9.0.dist-info/METADATA').write_text(
        'Metadata-Version: 2.1\nName: torch\nVersion: 9.9.0\n')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    assert install_env.installed(sys.executable, 'torch') == 'torch==9.9.0'
    with pytest.raises(install_env.InstallError, match='no_such is not'):
        install_env.installed(sys.executable, 'no_such')
