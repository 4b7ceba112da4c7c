# Copyright (c) mmaction_memvit contributors. All rights reserved.
import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run_python(code, cwd, *arguments):
    """Runs code in a fresh interpreter that finds this checkout.

    Returns:
        str: What it printed.
    """
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    env = dict(os.environ, PYTHONPATH=path, OMP_NUM_THREADS='1')
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c',
                           textwrap.dedent(code), *arguments],
                          cwd=str(cwd), env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout
