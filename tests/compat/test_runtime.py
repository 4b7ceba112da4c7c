# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pickle
import sys
import zipfile
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version

from mmaction_memvit import HostError
from mmaction_memvit.compat.runtime import (
    _adjust_hue,
    heal_color_jitter,
    heal_resume,
)

NEEDS_ALLOW_LIST = pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.6.0'),
    reason='torch < 2.6 resumes without an allow-list')


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
                                     np.int32, np.int64, np.bool_)],
            array=np.arange(3))

    def test_fails_without_and_works_with_the_healing(self, own_allow_list,
                                                      tmp_path):
        path = tmp_path / 'state.pth'
        torch.save(self.state(), path)
        with pytest.raises(pickle.UnpicklingError):
            torch.load(path)
        heal_resume()
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
        heal_resume()
        loaded = torch.load(tmp_path / 'other.pth')
        assert loaded['scalars'] == self.state()['scalars']

    @pytest.mark.parametrize('attribute', ['__init__', '__class__', 'update'])
    def test_getattr_opens_nothing_else(self, own_allow_list, tmp_path,
                                        attribute):

        class Reach:

            def __reduce__(self):
                return getattr, (HistoryBuffer, attribute)

        torch.save(Reach(), tmp_path / 'bad.pth')
        heal_resume()
        with pytest.raises(pickle.UnpicklingError, match=attribute):
            torch.load(tmp_path / 'bad.pth')

    def test_code_stays_refused(self, own_allow_list, tmp_path):

        class Attack:

            def __reduce__(self):
                return print, ('this must not run', )

        torch.save(Attack(), tmp_path / 'bad.pth')
        heal_resume()
        with pytest.raises(pickle.UnpicklingError, match='print'):
            torch.load(tmp_path / 'bad.pth')

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
            'gloo', init_method=f'file://{tmp_path / "store"}', rank=0,
            world_size=1)
        yield
        torch.distributed.destroy_process_group()

    def test_model_is_wrapped_and_steps(self, process_group):
        """As Runner.wrap_model does it, which names device 0."""
        from mmengine.model import MMDistributedDataParallel
        model = MMDistributedDataParallel(module=torch.nn.Linear(2, 1),
                                          device_ids=[0],
                                          broadcast_buffers=False)
        model(torch.ones(1, 2)).sum().backward()
        assert model.module.weight.grad.tolist() == [[1., 1.]]

    def test_nccl_names_the_remedy(self):
        from mmengine.dist import utils as dist_utils
        with pytest.raises(HostError, match='dist_cfg.backend=gloo'):
            dist_utils._init_dist_pytorch('nccl')


@pytest.mark.parametrize('rank', [0, 1])
def test_one_process_writes_the_metrics_of_a_test(rank, tmp_path, monkeypatch):
    from mmengine.dist import utils
    from mmengine.hooks import LoggerHook
    monkeypatch.setattr(utils, 'get_rank', lambda group=None: rank)
    runner = MagicMock(log_dir=str(tmp_path))
    runner.log_processor.get_log_after_epoch.return_value = {'acc': 1.}, ''
    hook = LoggerHook()
    hook.json_log_path = 'test.json'
    hook.after_test_epoch(runner)
    assert (tmp_path / 'test.json').exists() == (rank == 0)


def test_builds_of_nvidia_resume(monkeypatch):
    """The check of weights came with 2.6, before its release."""
    import torch
    allowed = []
    monkeypatch.setattr(torch, '__version__', '2.6.0a0+ecf3bae40a.nv25.01')
    monkeypatch.setattr(
        torch.serialization, 'add_safe_globals', allowed.extend, raising=False)
    heal_resume()
    assert allowed


class TestColorJitter:

    @pytest.mark.parametrize('factor', [-0.5, -0.1, 0., 0.1, 0.25])
    def test_hue_of_the_host_turns_both_ways(self, factor):
        """Under NumPy 2 as well, where the original raises."""
        from mmaction.datasets.transforms import ColorJitter
        rng = np.random.default_rng(0)
        img = rng.integers(0, 256, (8, 8, 3)).astype(np.float32)
        turned = ColorJitter.adjust_hue(img, factor)
        np.testing.assert_array_equal(turned, _adjust_hue(img, factor))
        assert turned.dtype == np.float32

    def test_replacement_turns_red_to_green_to_blue(self):
        red = np.array([[[255., 0., 0.]]])
        third = 60 / 255  # of 180 hues
        assert _adjust_hue(red, third).ravel().tolist() == [0, 255, 0]
        assert _adjust_hue(red, -third).ravel().tolist() == [0, 0, 255]

    def test_only_a_failing_original_is_replaced(self, monkeypatch):
        from mmaction.datasets.transforms import ColorJitter

        def sound(img, factor):
            return img

        def failing(img, factor):
            raise OverflowError('Python integer -25 out of bounds for uint8')

        for original, is_kept in ((sound, True), (failing, False)):
            monkeypatch.setattr(ColorJitter, 'adjust_hue',
                                staticmethod(original))
            heal_color_jitter()
            assert (ColorJitter.adjust_hue is original) == is_kept


def test_runner_starts_beside_a_torchvision_that_does_not_load(
        tmp_path, monkeypatch):
    from mmengine.runner import runner
    for name in list(sys.modules):
        if name.partition('.')[0] == 'torchvision':
            monkeypatch.delitem(sys.modules, name)
    (tmp_path / 'torchvision.py').write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RuntimeError):
        runner.collect_env.__wrapped__()
    assert runner.collect_env()['TorchVision'] == 'does not load'
    assert 'torchvision' not in sys.modules


def test_ava_metric_of_a_class_without_labels():
    """Its precision is NaN: ``np.NAN``, which NumPy 2 dropped."""
    from mmaction.evaluation.functional.ava_evaluation import metrics
    assert np.isnan(metrics.compute_average_precision(None, None))
    assert metrics.np.float32 is np.float32
