# Copyright (c) mmaction_memvit contributors. All rights reserved.
import pytest
from helpers.interpreter import run_python

from mmaction_memvit.compat.operators import ops_are_compiled

WITHOUT_EXTENSION = """
    import importlib.util, sys
    find_spec = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *rest: (
        None if name == 'mmcv._ext' else find_spec(name, *rest))
    """


def test_mmcv_without_extension(tmp_path):
    """Ours where we have one, the remedy elsewhere, MMEngine sees none."""
    output = run_python(
        WITHOUT_EXTENSION + """
    import mmaction_memvit, torch
    from mmcv import ops
    from mmcv.utils import collect_env
    from mmengine.utils.dl_utils import mmcv_full_available
    from mmaction_memvit.ops.roi_align import RoIAlign
    assert ops.RoIAlign is RoIAlign
    out = ops.RoIAlign(2)(torch.ones(1, 1, 8, 8), torch.tensor(
        [[0., 1., 1., 5., 5.]]))
    assert (out == 1).all()
    dets, kept = ops.nms(torch.tensor([[0., 0, 9, 9], [1, 0, 9, 9]]),
                         torch.tensor([0.5, 0.7]), 0.5)
    assert kept.tolist() == [1]
    _, kept = ops.batched_nms(torch.zeros(3, 4) + torch.arange(4.),
                              torch.ones(3), torch.tensor([0, 0, 1]),
                              dict(type='nms', iou_threshold=0.5))
    assert len(kept) == 2
    print('full:', mmcv_full_available(), collect_env()['MMCV Compiler'])
    try:
        ops.RoIPool(2)(torch.ones(1, 1, 8, 8), torch.zeros(1, 5))
    except RuntimeError as error:
        print(type(error).__name__, error)
    """, tmp_path)
    assert 'full: False not compiled' in output
    assert "HostError MMCV's operator 'roi_pool_forward'" in output
    assert 'MMCV_WITH_OPS=1' in output


def test_extension_of_another_torch(tmp_path):
    """The cause is told, and detection goes on in Python."""
    output = run_python(
        """
    import importlib.util, sys, types, warnings

    class Broken:
        def find_spec(self, name, *rest):
            if name == 'mmcv._ext':
                return importlib.util.spec_from_loader(name, self)
        def create_module(self, spec):
            pass
        def exec_module(self, module):
            raise ImportError('_ext.so: undefined symbol: _ZN3c10')

    sys.meta_path.insert(0, Broken())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        import mmaction_memvit
    print([str(w.message) for w in caught if 'undefined' in str(w.message)])
    from mmcv.ops import RoIAlign
    print(RoIAlign.__module__)
    """, tmp_path)
    assert 'undefined symbol: _ZN3c10' in output
    assert 'mmaction_memvit.ops.roi_align' in output


@pytest.mark.skipif(
    not ops_are_compiled(), reason='this MMCV has no compiled operators')
def test_compiled_operators_are_used():
    from mmcv.ops import RoIAlign
    assert RoIAlign.__module__ == 'mmcv.ops.roi_align'
