# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""Videos whose frames show their own number: what the reproductions share."""
import contextlib
import io
import os
import os.path as osp
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback

import numpy as np

import mmaction_memvit

sys.dont_write_bytecode = True
H, W = 64, 96
SKIPPED = 77
TOOLS = osp.join(
    osp.dirname(osp.dirname(osp.abspath(mmaction_memvit.__file__))), 'tools',
    'data')


def picture(number, height=H, width=W):
    """A grid of 4 x 4 blocks, black or white by the bits of the number."""
    bits = np.array([number >> k & 1 for k in range(16)], np.uint8)
    grid = bits.reshape(4, 4) * 255
    grid = np.kron(grid, np.ones((height // 4, width // 4), np.uint8))
    return np.repeat(grid[..., None], 3, -1)


def shown(image):
    """The number that a picture shows."""
    h, w = image.shape[0] // 4, image.shape[1] // 4
    return sum(
        int(image[r * h + h // 3:r * h + 2 * h // 3 + 1,
                  c * w + w // 3:c * w + 2 * w // 3 + 1].mean() > 127)
        << (4 * r + c) for r in range(4) for c in range(4))


def ffmpeg(*args, stdin=None):
    """Runs the ffmpeg program."""
    if shutil.which('ffmpeg') is None:
        print('this reproduction needs the ffmpeg program (apt-get install '
              'ffmpeg)')
        sys.exit(SKIPPED)
    subprocess.run(['ffmpeg', '-y', '-loglevel', 'error', *map(str, args)],
                   input=stdin, check=True)


def encode(path, num, *options, first=0, sound=False, rate=30):
    """Writes frames first, first + 1, ... by ffmpeg, else by PyAV."""
    if not sound and shutil.which('ffmpeg') is None:
        return encode_by_pyav(path, num, options, first, rate)
    raw = b''.join(picture(first + i).tobytes() for i in range(num))
    source = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', f'{W}x{H}', '-r',
              rate, '-i', '-']
    if sound:
        source += ['-f', 'lavfi', '-t', num / rate, '-i', 'sine']
    ffmpeg(*source, *(options or ('-c:v', 'libx264', '-g', '12', '-pix_fmt',
                                  'yuv420p')), path, stdin=raw)
    return path


def encode_by_pyav(path, num, options, first, rate):
    """As encode(), with the same options."""
    import av
    options = dict(zip((x[1:] for x in options[::2]), options[1::2]))
    codec = options.pop('c:v', 'libx264')
    pix_fmt = options.pop('pix_fmt', 'yuv420p')
    options.setdefault('g', '12')
    flags = {k: options.pop(k) for k in ('movflags', ) if k in options}
    with av.open(path, 'w', options=flags) as out:
        stream = out.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = W, H, pix_fmt
        for i in range(num):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(
                picture(first + i), format='rgb24')))
        out.mux(stream.encode())
    return path


def truth(path):
    """Numbers of the frames, decoded from the first to the last by PyAV."""
    import av
    with av.open(path) as container:
        return [shown(f.to_ndarray(format='rgb24'))
                for f in container.decode(video=0)]


def read(reader, inds):
    """Numbers of single frames; an error's text where one is not read."""
    found = []
    for i in inds:
        try:
            found.append(shown(reader.read([i])[0]))
        except Exception as e:  # shown to the reader of the output
            found.append(str(e).split(' of ')[0])
    return found


def tool(name, *args, seconds=60):
    """Runs a tool as the command line does, in this process.

    Returns its exit code and all that it says; None if it takes longer.
    """
    path, said, saved = osp.join(TOOLS, name), io.StringIO(), sys.path[:]
    argv, sys.argv = sys.argv, [path, *args]
    sys.path.insert(0, osp.dirname(path))
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(seconds)
    try:
        with contextlib.redirect_stdout(said), \
                contextlib.redirect_stderr(said):
            runpy.run_path(path, run_name='__main__')
        code = 0
    except TimeoutError:
        code = None
    except SystemExit as end:
        code = end.code or 0
        if isinstance(code, str):
            print(code, file=said)
            code = 1
    except Exception:
        print(traceback.format_exc(), file=said)
        code = 1
    finally:
        signal.alarm(0)
        sys.argv, sys.path[:] = argv, saved
    return code, said.getvalue()


def _stop(*_):
    raise TimeoutError


def folder():
    """A temporary folder, which becomes the current one."""
    path = tempfile.mkdtemp(prefix='repro_')
    os.chdir(path)
    return path


def verdict(fault, text):
    """Prints the outcome; exit code 1 if the fault is there."""
    print(('FAULT: ' if fault else 'ok: ') + text)
    sys.exit(int(fault))
