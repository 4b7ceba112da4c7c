# Copyright (c) mmaction_memvit contributors. All rights reserved.
import importlib.metadata
import importlib.util
import os
import pickle
import subprocess
import sys
import textwrap
import types
import zipfile
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.registry import DefaultScope
from mmengine.utils import digit_version

import mmaction_memvit
from mmaction_memvit import HostError, compat, registry

ROOT = Path(__file__).resolve().parents[1]
NEEDS_ALLOW_LIST = pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.6.0'),
    reason='torch < 2.6 resumes without an allow-list')


def run_python(code, cwd, *arguments):
    """Runs code in a fresh interpreter that finds this checkout."""
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    env = dict(os.environ, PYTHONPATH=path, OMP_NUM_THREADS='1')
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c',
         textwrap.dedent(code), *arguments],
        cwd=str(cwd),
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


class TestVersions:

    @pytest.mark.parametrize(
        'name, version',
        [('mmcv', '2.2.0'), ('mmcv', '1.7.2'), ('mmengine', '0.7.0'),
         ('mmengine', '1.0.0'), ('torch', '2.0.1'), ('mmaction', '1.1.0')])
    def test_wrong_version_is_named_with_limits_and_remedy(
            self, name, version, monkeypatch):
        module = importlib.import_module(name)
        monkeypatch.setattr(module, '__version__', version)
        with pytest.raises(HostError) as error:
            compat.check_versions()
        low, high = compat.SUPPORTED_VERSIONS[name]
        for text in (name, version, low, high or low, 'pip install'):
            assert text in str(error.value)

    @pytest.mark.parametrize('version', ['2.1.0', '2.13.0+cpu', '2.6.0a0+git'])
    def test_local_and_pre_release_versions_pass(self, version, monkeypatch):
        monkeypatch.setattr(torch, '__version__', version)
        compat.check_versions()


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
        (ImportError('mmcv/_ext.cpython-311.so: undefined symbol: x'),
         'MMCV_WITH_OPS=1'),
        (ImportError('something else'), 'check_env.py'),
    ])
    def test_each_known_cause_has_its_remedy(self, error, remedy):
        assert remedy in compat.explain_import_error(error)

    def test_the_cause_survives_and_is_no_import_error(
            self, tmp_path, monkeypatch):
        (tmp_path / 'broken_host.py').write_text('import no_such_library')
        monkeypatch.syspath_prepend(str(tmp_path))
        with pytest.raises(HostError, match='no_such_library') as error:
            compat.import_host('broken_host')
        assert not isinstance(error.value, ImportError)
        assert isinstance(error.value.__cause__, ModuleNotFoundError)

    def test_custom_imports_do_not_hide_the_cause(self, tmp_path):
        """MMEngine would reduce an ImportError to 'Failed to import'."""
        (tmp_path / 'config.py').write_text(
            "custom_imports = dict(imports=['mmaction_memvit'], "
            'allow_failed_imports=False)')
        output = run_python(
            """
            import sys

            class NotInstalled:
                def find_spec(self, name, *args):
                    if name == 'einops':
                        raise ModuleNotFoundError(name, name=name)

            sys.meta_path.insert(0, NotInstalled())
            from mmengine.config import Config
            try:
                Config.fromfile('config.py')
            except Exception as error:
                print(type(error).__name__, error)
            """, tmp_path)
        assert 'HostError' in output
        assert 'einops' in output and 'pip install einops' in output


class TestImportlibMetadata:

    def test_missing_backport_is_replaced(self, monkeypatch):
        monkeypatch.delitem(
            sys.modules, 'importlib_metadata', raising=False)
        monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
        compat.heal_missing_importlib_metadata()
        stand_in = sys.modules.pop('importlib_metadata')
        assert stand_in is importlib.metadata
        # What mmaction.utils.dependency takes from it.
        assert stand_in.distribution and stand_in.PackageNotFoundError

    def test_present_backport_is_left_alone(self, monkeypatch):
        monkeypatch.delitem(
            sys.modules, 'importlib_metadata', raising=False)
        monkeypatch.setattr(importlib.util, 'find_spec', lambda name: object())
        compat.heal_missing_importlib_metadata()
        assert 'importlib_metadata' not in sys.modules


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
        compat.heal_missing_drn()
        stand_in = sys.modules[f'{self.NAME}.drn'].DRN
        with pytest.raises(ImportError, match='mmaction2#2714.*Remedy'):
            stand_in(num_classes=3)

    def test_real_one_is_left_alone(self, fake_mmaction):
        (fake_mmaction / 'drn.py').write_text('')
        compat.heal_missing_drn()
        assert self.NAME not in sys.modules

    def test_config_that_names_it_reads_the_reason(self):
        if not sys.modules[self.NAME].__path__ == []:
            pytest.skip('this MMAction2 has the real DRN')
        with pytest.raises(ImportError, match='mmaction2#2714'):
            registry.MODELS.build(dict(type='DRN'))


@NEEDS_ALLOW_LIST
class TestResume:

    @pytest.fixture()
    def own_allow_list(self):
        """An empty allow-list; the process's own comes back afterwards."""
        saved = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        yield
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(saved)

    @staticmethod
    def state():
        buffer = HistoryBuffer()
        for value in (3.0, 1.0, 2.0):
            buffer.update(value)
        return dict(
            buffer=buffer,
            scalars=[
                kind(1) for kind in (np.float32, np.float64, np.float16,
                                     np.int32, np.int64, np.bool_)
            ],
            array=np.arange(3))

    def test_fails_without_and_works_with_the_healing(self, own_allow_list,
                                                      tmp_path):
        path = tmp_path / 'state.pth'
        torch.save(self.state(), path)
        with pytest.raises(pickle.UnpicklingError):
            torch.load(path)
        compat.heal_resume()
        loaded = torch.load(path)
        assert loaded['buffer'].min() == 1 and loaded['buffer'].mean() == 2
        assert loaded['buffer'].statistics('current') == 2
        assert loaded['scalars'] == self.state()['scalars']
        np.testing.assert_array_equal(loaded['array'], np.arange(3))

    def test_checkpoint_of_the_other_numpy_loads(self, own_allow_list,
                                                 tmp_path):
        """NumPy 2 renamed the module that a checkpoint refers to."""
        torch.save(self.state(), tmp_path / 'own.pth')
        old, new = b'cnumpy.core.multiarray\n', b'cnumpy._core.multiarray\n'
        if digit_version(np.__version__) >= digit_version('2.0.0'):
            old, new = new, old
        with zipfile.ZipFile(tmp_path / 'own.pth') as source, \
                zipfile.ZipFile(tmp_path / 'other.pth', 'w') as target:
            for name in source.namelist():
                data = source.read(name)
                if name.endswith('data.pkl'):
                    assert old in data
                    data = data.replace(old, new)
                target.writestr(name, data)
        compat.heal_resume()
        loaded = torch.load(tmp_path / 'other.pth')
        assert loaded['scalars'] == self.state()['scalars']

    @pytest.mark.parametrize('attribute', ['__init__', '__class__', 'update'])
    def test_getattr_opens_nothing_else(self, own_allow_list, tmp_path,
                                        attribute):

        class Reach:

            def __reduce__(self):
                return getattr, (HistoryBuffer, attribute)

        torch.save(Reach(), tmp_path / 'bad.pth')
        compat.heal_resume()
        with pytest.raises(pickle.UnpicklingError, match=attribute):
            torch.load(tmp_path / 'bad.pth')

    def test_code_stays_refused(self, own_allow_list, tmp_path):

        class Attack:

            def __reduce__(self):
                return print, ('this must not run', )

        torch.save(Attack(), tmp_path / 'bad.pth')
        compat.heal_resume()
        with pytest.raises(pickle.UnpicklingError, match='print'):
            torch.load(tmp_path / 'bad.pth')

    def test_untouched_before_torch_2_6(self, own_allow_list, monkeypatch):
        monkeypatch.setattr(torch, '__version__', '2.5.1')
        compat.heal_resume()
        assert torch.serialization.get_safe_globals() == []


@pytest.mark.skipif(
    torch.cuda.is_available(), reason='the host is fine where a GPU is')
class TestDistributedOnCPU:

    @pytest.fixture()
    def process_group(self, tmp_path, monkeypatch):
        from mmengine.dist import utils as dist_utils
        for name, value in (('RANK', '0'), ('LOCAL_RANK', '0'),
                            ('WORLD_SIZE', '1')):
            monkeypatch.setenv(name, value)
        dist_utils._init_dist_pytorch(
            'gloo',
            init_method=f'file://{tmp_path / "store"}',
            rank=0,
            world_size=1)
        yield
        torch.distributed.destroy_process_group()

    def test_model_is_wrapped_and_steps(self, process_group):
        """As Runner.wrap_model does it, which names device 0."""
        from mmengine.model import MMDistributedDataParallel
        model = MMDistributedDataParallel(
            module=torch.nn.Linear(2, 1),
            device_ids=[0],
            broadcast_buffers=False)
        model(torch.ones(1, 2)).sum().backward()
        assert model.module.weight.grad.tolist() == [[1., 1.]]

    def test_nccl_names_the_remedy(self):
        from mmengine.dist import utils as dist_utils
        with pytest.raises(HostError, match='dist_cfg.backend=gloo'):
            dist_utils._init_dist_pytorch('nccl')


@pytest.mark.parametrize('rank', [0, 1])
def test_one_process_writes_the_metrics_of_a_test(rank, tmp_path,
                                                  monkeypatch):
    from mmengine.dist import utils
    from mmengine.hooks import LoggerHook, logger_hook
    monkeypatch.setattr(utils, 'get_rank', lambda group=None: rank)
    runner = MagicMock(log_dir=str(tmp_path))
    runner.log_processor.get_log_after_epoch.return_value = {'acc': 1.}, ''
    hook = LoggerHook()
    hook.json_log_path = 'test.json'
    hook.after_test_epoch(runner)
    assert (tmp_path / 'test.json').exists() == (rank == 0)
    healed = logger_hook.dump
    compat.heal_metrics_file()
    assert logger_hook.dump is healed


@pytest.mark.parametrize('version', ['2.1.0a0+32f93b1', '2.1.0', '2.13.0'])
def test_builds_of_nvidia_are_supported(version, monkeypatch):
    """They are taken shortly before the release that they are named after."""
    import torch
    monkeypatch.setattr(torch, '__version__', version)
    compat.check_versions()


def test_builds_of_nvidia_resume(monkeypatch):
    """The check of weights came with 2.6, before its release."""
    import torch
    allowed = []
    monkeypatch.setattr(torch, '__version__', '2.6.0a0+ecf3bae40a.nv25.01')
    monkeypatch.setattr(
        torch.serialization, 'add_safe_globals', allowed.extend, raising=False)
    compat.heal_resume()
    assert allowed


class TestColorJitter:

    @pytest.mark.parametrize('factor', [-0.5, -0.1, 0., 0.1, 0.25])
    def test_hue_of_the_host_turns_both_ways(self, factor):
        """Under NumPy 2 as well, where the original raises."""
        from mmaction.datasets.transforms import ColorJitter
        rng = np.random.default_rng(0)
        img = rng.integers(0, 256, (8, 8, 3)).astype(np.float32)
        turned = ColorJitter.adjust_hue(img, factor)
        np.testing.assert_array_equal(turned, compat._adjust_hue(img, factor))
        assert turned.dtype == np.float32

    def test_replacement_turns_red_to_green_to_blue(self):
        red = np.array([[[255., 0., 0.]]])
        third = 60 / 255  # of 180 hues
        assert compat._adjust_hue(red, third).ravel().tolist() == [0, 255, 0]
        assert compat._adjust_hue(red, -third).ravel().tolist() == [0, 0, 255]

    def test_only_a_failing_original_is_replaced(self, monkeypatch):
        from mmaction.datasets.transforms import ColorJitter

        def sound(img, factor):
            return img

        def failing(img, factor):
            raise OverflowError('Python integer -25 out of bounds for uint8')

        for original, is_kept in ((sound, True), (failing, False)):
            monkeypatch.setattr(ColorJitter, 'adjust_hue',
                                staticmethod(original))
            compat.heal_color_jitter()
            assert (ColorJitter.adjust_hue is original) == is_kept


class TestNonLocal:

    def build(self, **cfg):
        from mmaction.models.backbones import ResNet3d
        backbone = ResNet3d(
            50,
            base_channels=4,
            pretrained=None,
            non_local=(0, 0, (1, 0, 0, 0, 0, 0), 0),
            non_local_cfg=dict(mode='dot_product', **cfg))
        backbone.init_weights()
        return backbone.layer3[0].non_local_block

    @pytest.mark.parametrize('cfg', [
        {}, dict(norm_cfg=dict(type='BN3d')),
        dict(norm_cfg=dict(type='BN3d'), sub_sample=True)
    ])
    def test_blocks_start_as_identities(self, cfg):
        x = torch.rand(2, 64, 2, 4, 4)
        assert torch.equal(self.build(**cfg)(x), x)
        # Unless somebody wants them not to.
        assert not torch.allclose(self.build(zeros_init=False, **cfg)(x), x)


class TestOps:

    @pytest.fixture()
    def lite(self, monkeypatch):
        """MMCV as mmcv-lite: the Python side of the operators, no _ext."""
        import mmcv
        from mmcv.utils import ext_loader
        original = getattr(ext_loader.load_ext, '__wrapped__',
                           ext_loader.load_ext)
        monkeypatch.setattr(ext_loader, 'load_ext', original)
        for name in list(sys.modules):
            if name.startswith('mmcv.ops'):
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, 'mmcv._ext', None)
        monkeypatch.delattr(mmcv, 'ops', raising=False)

    def test_missing_ops_name_the_remedy(self, lite):
        compat.explain_missing_ops()
        with pytest.raises(ModuleNotFoundError, match='MMCV_WITH_OPS=1'):
            importlib.import_module('mmcv.ops')

    def test_user_of_ops_is_named(self, lite):
        with pytest.raises(HostError, match='RoI features need.*Remedy'):
            compat.require_compiled_ops('RoI features need')

    def test_calling_twice_wraps_once(self, lite):
        from mmcv.utils import ext_loader
        compat.explain_missing_ops()
        first = ext_loader.load_ext
        compat.explain_missing_ops()
        assert ext_loader.load_ext is first


class TestBareHost:
    """mmcv-lite without importlib_metadata and MMDetection, imitated."""

    def test_recognition_runs_and_detection_says_what_it_lacks(self, tmp_path):
        output = run_python(
            """
            import sys, warnings
            for name in ('mmcv._ext', 'mmdet'):
                sys.modules[name] = None
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
                                   (MODELS, 'AVARoIHead'),
                                   (TASK_UTILS, 'MaxIoUAssignerAVA')):
                try:
                    registry.build(dict(type=name, _scope_='mmdet'))
                except RuntimeError as error:
                    print(name, error)
            """, tmp_path)
        assert 'recognition runs' in output
        for name in ('FastRCNN', 'AVARoIHead', 'MaxIoUAssignerAVA'):
            assert f"{name} needs MMCV's compiled operators" in output
        assert 'MMCV_WITH_OPS=1' in output

    def test_sound_host_gets_no_placeholders(self):
        from mmaction.models import roi_heads
        if not hasattr(roi_heads, 'AVARoIHead'):
            pytest.skip('MMDetection does not import here')
        from mmengine.registry import MODELS, TASK_UTILS
        assert 'AVARoIHead' not in MODELS.module_dict
        assert 'MaxIoUAssignerAVA' not in TASK_UTILS.module_dict

    def test_only_detection_imports_mmdet(self):
        """MMAction2 itself imports it where it can; this package does not."""
        package = Path(mmaction_memvit.__file__).parent
        allowed = ('detectors', 'roi_heads', 'task_modules')
        for path in package.rglob('*.py'):
            if not any(part in allowed for part in path.parts):
                for line in path.read_text(encoding='utf-8').splitlines():
                    assert not line.strip().startswith(
                        ('import mmdet', 'from mmdet')), path


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
        dict(type='ToyModel'),
    ])
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

    def test_default_scope(self):
        from mmengine.registry import HOOKS, TRANSFORMS
        with DefaultScope.overwrite_default_scope('mmaction_memvit'):
            # One of MMAction2 and one of MMEngine.
            TRANSFORMS.build(dict(type='FormatShape', input_format='NCTHW'))
            HOOKS.build(dict(type='IterTimerHook'))


def test_inherited_collate_fn_loses_its_scope(monkeypatch):
    from mmengine.runner import Runner
    seen = {}

    def build_dataloader(dataloader, seed=None, diff_rank_seed=False):
        seen.update(dataloader, seed=seed)

    monkeypatch.setattr(Runner, 'build_dataloader',
                        staticmethod(build_dataloader))
    compat.heal_inherited_collate_fn()
    healed = Runner.build_dataloader
    compat.heal_inherited_collate_fn()
    assert Runner.build_dataloader is healed
    cfg = dict(
        batch_size=1,
        collate_fn=dict(type='repeat_pseudo_collate', _scope_='mmaction'))
    Runner.build_dataloader(cfg, seed=3)
    assert seen == dict(
        batch_size=1, collate_fn=dict(type='repeat_pseudo_collate'), seed=3)
    # What the caller holds is untouched.
    assert cfg['collate_fn']['_scope_'] == 'mmaction'
