"""Handles a POST with a form on the feed's port: websockets accepts GET only, but the SDK uses one address for all calls."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Response

_MOST_BYTES: Final = 1 << 16
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d{1,6})[ \t]*\r\n")
_METHOD: Final = b"POST "

AnswerForm = Callable[[str, str], Response]


class FormPostConnection(ServerConnection):
    """A connection whose first bytes decide: a POST is answered by `answer_form(path, body)`, all else is left to websockets."""

    def __init__(self, *known: Any, answer_form: AnswerForm, **named: Any) -> None:
        super().__init__(*known, **named)
        self._answer_form = answer_form
        self._received = b""
        self._is_decided = False

    def data_received(self, data: bytes) -> None:
        """Take bytes from the transport."""
        if self._is_decided:
            super().data_received(data)
            return
        self._received += data
        if not self._received.startswith(_METHOD[: len(self._received)]):
            self._is_decided = True
            super().data_received(self._received)
            self._received = b""
            return
        response = self._response()
        if response is not None:
            self.transport.write(response.serialize())
            self.transport.close()

    def _response(self) -> Response | None:
        """Return the answer once the whole request is there, or refuse anything that is not a small form."""
        head, end, body = self._received.partition(b"\r\n\r\n")
        if len(self._received) > _MOST_BYTES:
            return _refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not end:
            return None
        length = _LENGTH.search(head + b"\r\n")
        if length is None:
            return _refused(HTTPStatus.LENGTH_REQUIRED)
        if len(body) < int(length[1]):
            return None
        path = head.split(b" ", 2)[1].decode("latin-1")
        return self._answer_form(path, body[: int(length[1])].decode("utf-8", "replace"))


def _refused(status: HTTPStatus) -> Response:
    return Response(status, status.phrase, Headers({"Content-Length": "0", "Connection": "close"}))
