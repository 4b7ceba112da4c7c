# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""The documentation as a site, by Sphinx: make docs.

Its source is the repository: README.md, docs/ and the README.md of each
folder of configs, so that links work on a forge and on the site alike; and
the docstrings, of which sphinx.ext.apidoc makes pages in docs/api/.
"""
import re
import shutil
from pathlib import Path

import mmaction_memvit

ROOT = Path(__file__).resolve().parents[1]
# Pages by what a reader wants, for the side bar.
TOC = """
```{toctree}
:hidden:
:caption: Tutorials
First model: your own videos <docs/own_videos>
Your own boxes <docs/own_data_ava>
Your own backbone <docs/add_a_backbone_that_remembers>
Your own data set <docs/add_a_data_set>
Your own metric <docs/add_a_metric>
Features in place of videos <docs/features>
Live video <docs/live_video>
Export <docs/export>
```
```{toctree}
:hidden:
:caption: Models and data
docs/install
docs/memvit
docs/ava
docs/avt
docs/collaborative
docs/epic100
docs/online_action_detection
docs/model_zoo
docs/leaderboard
docs/convert_weights
```
```{toctree}
:hidden:
:caption: Memory
docs/any_backbone_remembers
docs/costs_of_memory
docs/unrolled_training
docs/temporal_support
docs/speed
```
```{toctree}
:hidden:
:glob:
:caption: Configs
configs/*/*/README
```
```{toctree}
:hidden:
:caption: Reference
docs/api/modules
```
"""

project = 'mmaction_memvit'
author = 'mmaction_memvit contributors'
release = mmaction_memvit.__version__
extensions = ['myst_parser', 'sphinx.ext.apidoc', 'sphinx.ext.autodoc',
              'sphinx.ext.napoleon']
root_doc = 'README'
include_patterns = ['README.md', 'docs/**', 'configs/**/README.md']
# Short names such as :mod:`.attention` may be those of several modules.
suppress_warnings = ['ref.python']
html_theme = 'furo'
html_title = project
html_copy_source = False
myst_heading_anchors = 4
apidoc_modules = [
    dict(
        path=str(ROOT / 'mmaction_memvit'),
        destination='docs/api',
        module_first=True)
]
autodoc_default_options = {
    'members': True,
    'show-inheritance': True,
    # What a package passes on is told where it is defined.
    'ignore-module-all': True,
}
autodoc_typehints = 'none'
# Attributes that classes also annotate are told once.
napoleon_use_ivar = True
autodoc_class_signature = 'mixed'


def add_toc(app, name, source):
    """The side bar hangs on the first page, which shows none of it."""
    if name == root_doc:
        source[0] += TOC


def keep_stars(app, what, name, obj, options, lines):
    """Sizes T'*H'*W' and a lone **kwargs of docstrings are no emphasis."""
    for star in (r"(?<=\w')\*(?=\w)", r'(?<![\\*`])\*\*(?=\w+\b(?!.*\*\*))'):
        lines[:] = [re.sub(star, lambda m: m[0].replace('*', r'\*'), line)
                    for line in lines]


def skip_fields(app, what, name, obj, skip, options):
    """Fields of named tuples are told under their arguments."""
    return True if type(obj).__name__ == '_tuplegetter' else None


def copy_first_page(app, error):
    """The first page is index.html, too."""
    if error is None and app.builder.name == 'html':
        shutil.copy(app.outdir / 'README.html', app.outdir / 'index.html')


def setup(app):
    app.connect('source-read', add_toc)
    app.connect('autodoc-process-docstring', keep_stars)
    app.connect('autodoc-skip-member', skip_fields)
    app.connect('build-finished', copy_first_page)
