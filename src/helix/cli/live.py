"""graph --watch: the page of a graph, served on this machine alone, that follows the files of its program."""

from __future__ import annotations

import os
import sys
import sysconfig
import time
from base64 import b64encode
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from threading import Thread
from typing import NamedTuple

import click

import helix

PAUSE = 0.3  # seconds between looks at the files

_SCRIPT = """
let seen = "";
const look = async () => {
  try {
    const now = await (await fetch("/version")).text();
    if (seen && now !== seen) document.querySelector("iframe").src = "/graph?" + now;
    seen = now;
  } catch {}
  setTimeout(look, 500);
};
look();
"""
_HASH = b64encode(sha256(_SCRIPT.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; connect-src 'self'; script-src 'sha256-{_HASH}'"
)
_FRAME = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}"><title>helix graph</title>
<style>html,body,iframe{{margin:0;width:100%;height:100%;border:0;display:block}}</style>
<iframe src="/graph" sandbox="allow-scripts" title="the graph"></iframe><script>{_SCRIPT}</script></html>
"""


class Made(NamedTuple):
    """A page, whether it shows a graph, and the files that it depends on."""

    page: str
    sound: bool
    files: tuple[str, ...]


class Live(ThreadingHTTPServer):
    """Serves the page that was made last, to this machine alone."""

    daemon_threads = True

    def __init__(self, source: str, specs: tuple[str, ...], classes: int, training: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.wanted = source, specs, classes, training
        self.version = 0
        self.made = Made("", False, ())
        self._times: dict[str, float] = {}
        self.make()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def make(self) -> None:
        """Makes the page in a process of its own: the program is read afresh, and may fail in any way."""
        before, times = self.made.files, self._now()
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            try:
                made = pool.submit(build, *self.wanted).result()
            except BrokenProcessPool:
                made = Made(_told("The process that made the graph ended at once, as at a crash."), False, ())
        self.made = made if made.sound else made._replace(files=tuple(sorted({*before, *made.files})))
        self._times = {**self._now(), **{file: times[file] for file in self.made.files if file in times}}
        self.version += 1

    def follow(self) -> bool:
        """Makes the page again if a file has changed."""
        changed = self._now() != self._times
        if changed:
            self.make()
        return changed

    def _now(self) -> dict[str, float]:
        return {file: os.stat(file).st_mtime for file in self.made.files if os.path.exists(file)}


class _Handler(BaseHTTPRequestHandler):
    server: Live

    def do_GET(self) -> None:
        pages = {"/": _FRAME, "/graph": self.server.made.page, "/version": str(self.server.version)}
        text = pages.get(self.path.partition("?")[0])
        hosts = [f"{name}:{self.server.server_port}" for name in ("127.0.0.1", "localhost")]
        if self.headers.get("Host") not in hosts:  # a page elsewhere whose name was made to lead here
            return self._answer(403, "no")
        return self._answer(404, "no") if text is None else self._answer(200, text)

    def _answer(self, status: int, text: str) -> None:
        body = text.encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", f"text/{'html' if text.startswith('<') else 'plain'}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def serve(source: str, specs: tuple[str, ...], classes: int, training: bool) -> None:
    """Serves and follows until Ctrl-C."""
    with Live(source, specs, classes, training) as live:
        Thread(target=live.serve_forever, daemon=True).start()
        click.echo(f"{live.url} (Ctrl-C ends it)")
        try:
            while True:
                time.sleep(PAUSE)
                if live.follow():
                    click.echo(f"version {live.version}{'' if live.made.sound else ': an error, see the page'}")
        except KeyboardInterrupt:
            live.shutdown()


# ---- in the other process ----------------------------------------------------------------------------------


def build(source: str, specs: tuple[str, ...], classes: int, training: bool) -> Made:
    from .graph import traced
    from .sources import opened

    failed: Exception | None = None
    try:
        page = traced(opened(source, specs, classes), training).to_html()
    except (Exception, SystemExit) as error:
        failed = error if isinstance(error, Exception) else RuntimeError(f"the program ended itself with {error.code}")
        notes = getattr(failed, "__notes__", ())
        text = failed.format_message() if isinstance(failed, click.ClickException) else str(failed)
        page = _told("\n".join([text or type(failed).__name__, *notes]))
    return Made(page, failed is None, _files(source, failed))


def _files(source: str, failed: BaseException | None) -> tuple[str, ...]:
    """The source, and the files of all modules that belong neither to Python nor to helix nor to an installed package."""
    given = source.rpartition(":")[0] or source
    found = {given, *[getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]}
    while failed is not None:  # a module that failed is none
        found.add(getattr(failed, "filename", None) or "")
        frame = failed.__traceback__
        while frame is not None:
            found.add(frame.tb_frame.f_code.co_filename)
            frame = frame.tb_next
        failed = failed.__cause__
    installed = (
        os.path.dirname(helix.__file__),
        *[sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")],
    )
    paths = {os.path.abspath(file) for file in found if os.path.isfile(file)}
    return tuple(sorted(path for path in paths if not path.startswith(installed)))


def _told(text: str) -> str:
    from ..graph.svg import escaped

    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        "<title>no graph</title><style>:root{color-scheme:light dark}body{font:15px/1.5 ui-sans-serif,system-ui,sans-serif;"
        "margin:3rem auto;max-width:52rem}pre{white-space:pre-wrap;padding:1rem;border-left:3px solid #c0392b;background:#8881}"
        f"</style><h1>No graph</h1><pre>{escaped(text)}</pre><p>The page follows when a file is saved.</p></html>\n"
    )
