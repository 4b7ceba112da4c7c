# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Loading of features in place of frames."""
import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from ...messages import data_error
from ...video.feature_files import FeatureStack
from .loading import ReaderCache


@TRANSFORMS.register_module()
class LoadFeatureClip(BaseTransform):
    """Loads the feature vectors of a clip, in place of its frames.

    It takes the place of ``LoadVideoClip`` and all that works on pictures;
    ``PackActionInputs`` follows. The model's backbone is
    :class:`FeatureBackbone`.

    Required are ``feature_files``; and ``start_seconds`` where
    ``feature_of`` is 'clip': the features that were taken from the clip that
    begins then; else, where every frame has a feature, ``frame_inds``, whose
    features are the clip's. Data sets with ``data_prefix=dict(feature=...)``
    give them. Added are ``imgs``, float32 (num_clips, C, T, 1, 1), of T
    vectors in order of time, and ``img_shape``, (1, 1).

    Args:
        cache_size (int): Number of videos whose files every worker keeps
            open, at least the batch size. Files are not read into memory.
            Defaults to 64.
    """

    def __init__(self, cache_size: int = 64) -> None:
        self._cache = ReaderCache(cache_size)

    def transform(self, results: dict) -> dict:
        """Loads the features."""
        if 'feature_files' not in results:
            raise KeyError("LoadFeatureClip needs results['feature_files']. "
                           'Remedy: data_prefix=dict(feature=...) of the data '
                           'set')
        files = tuple(map(tuple, results['feature_files']))
        cache = self._cache
        features = cache.get(files, lambda: FeatureStack(files))
        if results['feature_of'] == 'clip':
            vectors = features.read_at(results['start_seconds'])
            # (1, T, C): a row a clip, of one vector or T.
            vectors = np.reshape(vectors, (1, -1, vectors.shape[-1]))
        else:
            vectors = features.read(np.ravel(results['frame_inds']))
            vectors = np.reshape(vectors, (results.get('num_clips', 1), -1,
                                           vectors.shape[-1]))
        if not np.isfinite(vectors).all():
            raise data_error(
                ', '.join(map(str, features.files)),
                f'{(~np.isfinite(vectors)).sum()} of the {vectors.size} '
                'numbers of a clip are NaN or infinite', 'extract them anew')
        cache.release(files)
        results['imgs'] = np.ascontiguousarray(
            vectors.transpose(0, 2, 1))[..., None, None]
        results['img_shape'] = (1, 1)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(cache_size={self._cache.size})'
