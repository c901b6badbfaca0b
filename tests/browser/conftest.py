"""A served page on a made-up market, and one Chromium for all tests of the page."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from orderflow.dashboard.sources.directory import Directory
from orderflow.dashboard.state.store import Store, clock_ms
from orderflow.dashboard.web.app import Parts, create_app
from tests.browser.synthetic import NAMES, LiveSource, MadeUpHistory, Market

PORT = 18510
EVIL = "NSE_EQ|<img src=x onerror=alert(1)>"
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1440,900"
)


class Page:
    """A dashboard server that a test can stop and start again on the same port."""

    def __init__(self, history: MadeUpHistory) -> None:
        self.history = history
        self.url = f"http://127.0.0.1:{PORT}"

    def start(self) -> None:
        names = {**dict(list(NAMES.items())[:3]), EVIL: ("<b>EVIL</b>", '"><script>window.hacked=1</script>')}
        self.store = Store(clock_ms, tuple(names))
        self._source = LiveSource(self.store, Market(tuple(names), clock_ms(), minutes=60), per_second=5)
        app = create_app(Parts(self.store, Directory(tuple(names), names), self.history))
        self._server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=PORT, log_level="error"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started, "the server to start")
        self._source.start()

    def stop(self) -> None:
        self._source.stop()
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(10)


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """Poll a condition of another process; fail with what was awaited."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s for {what}")


@pytest.fixture(scope="session")
def page() -> Iterator[Page]:
    served = Page(MadeUpHistory(tuple(NAMES)[:2]))
    served.start()
    yield served
    served.stop()


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def browser(downloads: Path) -> Iterator[Any]:
    if shutil.which("chromium") is None or not Path("/usr/bin/chromedriver").exists():
        pytest.skip("needs chromium and /usr/bin/chromedriver (apt-get install chromium chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    for argument in ARGUMENTS.split():
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()
