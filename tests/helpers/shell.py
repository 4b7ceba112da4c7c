# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Runs shell commands as they stand in a page, without starting Python anew.

``python`` is a script there that asks this process to fork: what takes long,
the imports, is done.
"""
import array
import json
import os
import runpy
import shutil
import socket
import subprocess
import sys
import traceback
from pathlib import Path
from typing import IO, Callable, List, Optional

import torch

import mmaction_memvit  # noqa: F401

CLIENT = """#!{python} -IS
import array, json, os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect({path!r})
s.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                    array.array('i', [0, 1, 2]))])
s.sendall(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode())
s.shutdown(socket.SHUT_WR)
sys.exit(s.recv(1)[0])
"""


class Shell:
    """Runs commands in a folder.

    Args:
        folder (Path): Where to.
        bin (Path): A folder for ``python``; its path must be short.
        before (Callable, optional): Called with the arguments of each
            ``python``, in its process and folder. Defaults to None.
    """

    def __init__(self, folder: Path, bin: Path,
                 before: Optional[Callable] = None) -> None:
        self.folder = folder
        self.before = before or (lambda arguments: None)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(bin / 's'))
        self.server.listen()
        self.server.settimeout(0.02)
        client = bin / 'python'
        client.write_text(
            CLIENT.format(python=sys.executable, path=str(bin / 's')))
        client.chmod(0o755)
        self.env = dict(os.environ, PATH=f'{bin}:{os.environ["PATH"]}')

    def __call__(self, text: str) -> str:
        """Runs the commands to the end; gives what they printed."""
        path = self.folder / '.printed'
        with open(path, 'w') as printed:
            bash = subprocess.Popen(
                [shutil.which('bash'), '-euo', 'pipefail', '-c', text],
                cwd=str(self.folder), env=self.env, stdin=subprocess.DEVNULL,
                stdout=printed, stderr=subprocess.STDOUT)
            while bash.poll() is None:
                try:
                    self._serve(self.server.accept()[0])
                except socket.timeout:
                    pass
        said = path.read_text()
        path.unlink()
        assert bash.returncode == 0, f'{text}\n{said[-6000:]}'
        return said

    def _serve(self, client: socket.socket) -> None:
        with client:
            _, sent, *_ = client.recvmsg(1, socket.CMSG_SPACE(12))
            fds = array.array('i', sent[0][2])
            with client.makefile('rb') as file:
                arguments, cwd, env = json.load(file)
            child = os.fork()
            if not child:
                _become(client, fds, arguments, cwd, env, self.before)
            for fd in fds:
                os.close(fd)
            os.waitpid(child, 0)


def _become(client: socket.socket, fds: array.array, arguments: List[str],
            cwd: str, env: dict, before: Callable) -> None:
    """Turns a fork of this process into one that runs a script."""
    code = 1
    try:
        for k, fd in enumerate(fds):
            os.dup2(fd, k)
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(k, 'rw'[k > 0]) for k in range(3))
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        torch.set_num_threads(1)
        code = _run(arguments, before)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        client.send(bytes([code]))
        os._exit(code)


POPEN = subprocess.Popen


def popen(command: List[str], *args, **kwargs):
    """In place of ``subprocess.Popen``: scripts of Python run in forks.

    They are for those who wait for the ``pid``.
    """
    if command[0] != sys.executable:
        return POPEN(command, *args, **kwargs)
    return Fork(command, **kwargs)


class Fork:
    """A fork of this process that runs a script of Python."""

    def __init__(self, command: List[str], env: dict, stdout: IO,
                 stderr: int) -> None:
        self.pid = os.fork()
        if self.pid:
            return
        code = 1
        try:
            sys.stdout = sys.stderr = stdout
            os.environ.update(env)
            torch.set_num_threads(1)
            code = _run(command[1:], lambda arguments: None)
            stdout.flush()
        finally:
            os._exit(code)


def _run(arguments: List[str], before: Callable) -> int:
    try:
        before(arguments)
        script, *sys.argv[1:] = arguments
        if script == '-':
            exec(sys.stdin.read(), {'__name__': '__main__'})
        elif script == '-m':
            sys.path.insert(0, '')
            runpy.run_module(
                sys.argv.pop(1), run_name='__main__', alter_sys=True)
        else:
            sys.argv[0] = script
            sys.path.insert(0, os.path.dirname(os.path.realpath(script)))
            runpy.run_path(script, run_name='__main__')
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
            return 1
        return stop.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
