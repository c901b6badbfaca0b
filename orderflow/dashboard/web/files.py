"""The page's own files and plotly.js, served under a digest of their content, so that browsers cache them until they change."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request, Response

from orderflow.dashboard.web.palette import stylesheet

PAGE: Final = Path(__file__).parents[1] / "page"
PLOTLY: Final = Path(__file__).parents[1] / "vendor" / "plotly-finance.min.js"
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_PLOTLY_NAME: Final = "plotly.min.js"


class PageFiles:
    """All files in memory, compressed once; `digest` names them all, so that modules import one another by relative paths."""

    def __init__(self) -> None:
        files = {path.relative_to(PAGE).as_posix(): path for path in sorted(PAGE.rglob("*")) if path.suffix in _TYPES}
        files[_PLOTLY_NAME] = PLOTLY
        contents = {name: path.read_bytes() for name, path in files.items()}
        contents["palette.css"] = stylesheet().encode()
        self._compressed = {name: gzip.compress(content, 9, mtime=0) for name, content in contents.items()}
        digest = hashlib.sha256()
        for name, content in sorted(contents.items()):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        self.digest = digest.hexdigest()[:12]

    @property
    def scripts(self) -> list[str]:
        """Return the names of the page's modules; the login page has its own."""
        return [name for name in self._compressed if name.endswith(".js") and name not in (_PLOTLY_NAME, "login.js")]

    def add(self, server: FastAPI) -> None:
        """Register the route on `server`."""

        @server.get("/page/{digest}/{name:path}", include_in_schema=False)
        async def page_file(_request: Request, digest: str, name: str) -> Response:
            content = self._compressed.get(name)
            if content is None:
                return Response(status_code=404)
            cache = "public, max-age=31536000, immutable" if digest == self.digest else "no-store"
            headers = {"Content-Encoding": "gzip", "Cache-Control": cache}
            return Response(content, media_type=_TYPES["." + name.rpartition(".")[2]], headers=headers)
