# Copyright (c) mmaction_memvit contributors. All rights reserved.
"""A local web page that shows a stream as a model watches it."""
from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np

from .attention import AttentionView

_PAGE = Path(__file__).with_suffix('.html')
# Seconds of scores that a page which opens late is shown.
_KEPT = 120.


class LivePage:
    """Serves the last picture, scores and attention of a stream.

    Pages ask for what is new; who does not look costs nothing but the last
    pictures. Nothing is loaded from elsewhere.

    Args:
        source (str): Title of the page.
        host (str): Address to listen at: '127.0.0.1' for this machine alone,
            '0.0.0.0' for all that reach it. Defaults to '127.0.0.1'.
        port (int): 0 for any that is free. Defaults to 8000.

    Attributes:
        url (str): Where the page is.

    Raises:
        OSError: If the port is taken.
    """

    def __init__(self, source: str, host: str = '127.0.0.1',
                 port: int = 8000) -> None:
        self.source = source
        self.told = 'waiting for the first clip'
        self._image: np.ndarray | None = None
        self._attention: AttentionView | None = None
        self._strip: np.ndarray | None = None
        self._shares: list | None = None
        self._steps: deque = deque()
        self._lock = threading.Lock()
        handler = type('Handler', (_Handler, ), dict(page=self))
        try:
            self._server = ThreadingHTTPServer((host, port), handler)
        except OSError as e:
            raise OSError(f'{host}:{port} cannot be listened at ({e}): name '
                          'another port, or 0 for one that is free') from e
        self._server.daemon_threads = True
        self.url = f'http://{host}:{self._server.server_port}/'
        threading.Thread(
            target=self._server.serve_forever, daemon=True).start()

    def show(self, image: np.ndarray) -> None:
        """Show a picture, RGB, uint8 (H, W, 3), in place of the last one."""
        self._image = image

    def add(self, step: Any, rows: Sequence[dict], told: str = '') -> None:
        """Take a clip.

        Args:
            step (ClipPrediction): Of an :class:`OnlineInferencer`.
            rows (Sequence[dict]): From :func:`best_rows`.
            told (str): How things stand, as a line. Defaults to ''.
        """
        best: dict[str, float] = {}
        for row in rows:
            # Tokens and persons: the highest one of each class.
            best[row['name']] = max(row['score'], best.get(row['name'], 0.))
        shown = dict(number=step.clip, start=round(step.start, 3),
                     end=round(step.end, 3),
                     best=sorted(best.items(), key=lambda x: -x[1]))
        if step.attention is not None:
            self._attention = self._attention or AttentionView()
            self._attention.add(step)
        with self._lock:
            self.told = told
            self._steps.append(shown)
            while self._steps[0]['end'] < step.end - _KEPT:
                self._steps.popleft()
            if self._attention:
                self._shares = self._attention.now()
                self._strip = self._attention.strip()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    # -- what pages ask for -------------------------------------------------

    def state(self, after: int) -> bytes:
        """Clips after one of a number, as JSON."""
        with self._lock:
            steps = [x for x in self._steps if x['number'] > after]
            state = dict(source=self.source, told=self.told, steps=steps,
                         last=steps[-1]['number'] if steps else after,
                         attention=self._shares)
        return json.dumps(state).encode()

    def jpeg(self, name: str) -> bytes | None:
        """The last ``picture`` or ``strip``; None if there is none yet."""
        image = self._image if name == 'picture' else self._strip
        if image is None:
            return None
        return cv2.imencode('.jpg', image[..., ::-1])[1].tobytes()


class _Handler(BaseHTTPRequestHandler):
    """Answers for the page that is set on it."""
    page: LivePage

    def do_GET(self) -> None:  # noqa: N802
        url = urlsplit(self.path)
        kind, body = 'image/jpeg', None
        if url.path == '/':
            kind, body = 'text/html; charset=utf-8', _PAGE.read_bytes()
        elif url.path == '/state':
            after = parse_qs(url.query).get('after', ['-1'])[0]
            if after.lstrip('-').isdigit():
                kind = 'application/json'
                body = self.page.state(int(after))
        elif url.path in ('/picture', '/strip'):
            body = self.page.jpeg(url.path[1:])
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        self.send_header('Cache-Control', 'no-store')
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:
            pass  # the page was closed

    def log_message(self, *args) -> None:
        """Say nothing: the terminal shows the stream."""
