"""Fixtures that several files use."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lightnings import PACKAGES

from boundarycb.warning import log

if "PYTEST_XDIST_WORKER" in os.environ:  # several processes that take all cores each wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start
    torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bless", action="store_true", help="write the golden pictures anew, to be looked at before they are committed"
    )


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _interrupted_as_ever() -> None:
    """What runs tests in several processes lets them ignore Ctrl-C; the tests that press it need it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _without_opencv() -> Iterator[None]:
    """Pictures are drawn as without OpenCV, whether it is installed or not; tests/test_thin.py draws them with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("boundarycb.render.thin.opencv", lambda: None)
        yield


@pytest.fixture(autouse=True)
def _no_surplus_warnings(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Warnings are errors here, and ours are logged then: one that no test expected fails the test."""
    yield
    if not request.node.get_closest_marker("logs_warnings"):
        surplus = [record.message for record in caplog.get_records("call") if record.name == log.name]
        assert surplus == []


@pytest.fixture(params=PACKAGES)
def pl(request: pytest.FixtureRequest) -> Any:
    """Either Lightning package."""
    return importlib.import_module(request.param)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium. Without one the test is skipped, unless BOUNDARYCB_NEEDS_BROWSER says that this is an error."""
    path = os.environ.get("BOUNDARYCB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        message = "no Chromium found: install one, or name it in BOUNDARYCB_CHROMIUM"
        if os.environ.get("BOUNDARYCB_NEEDS_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=[*quiet, "--disable-sync", "--disable-quic"])
        yield chromium
        chromium.close()
