"""Where the TLS session lives in each test, and the market that is played."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from guest_runs import NATIVE
from harness.fixtures import DATA, authority, data
from market import Market

import ktls
from ktls import kernel

__all__ = ["authority", "data"]


@pytest.fixture(params=["kernel", "user"])
def tls(request: pytest.FixtureRequest) -> str:
    """The word behind --tls. Guests run "kernel"; the host runs "user", and "kernel" where it has kernel TLS."""
    return str(request.param)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what `tls` says is not to be run."""
    items[:] = [item for item in items if _is_wanted(item)]


def _is_wanted(item: pytest.Item) -> bool:
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    if not {"tls", "kernel_name"} <= params.keys():  # also those of other folders, which come here, too
        return True
    if params["kernel_name"] != NATIVE:
        return bool(params["tls"] == "kernel")
    return params["tls"] == "user" or ktls.probe().usable


@pytest.fixture
def follows_key_updates(tls: str) -> bool:
    """Whether a session outlives the peer's KeyUpdate: OpenSSL's does, the kernel's from Linux 6.14 on."""
    return tls == "user" or kernel.can_rekey()


@pytest.fixture(scope="session")
def opening_second(data: Path) -> Market:
    """The real one; skips where it is not on the machine."""
    return Market.opening_second(data)


@pytest.fixture(scope="session")
def market(request: pytest.FixtureRequest) -> Market:
    """The real opening second; on a machine without it, a synthetic market."""
    if DATA.is_dir():
        return request.getfixturevalue("opening_second")  # type: ignore[no-any-return]
    return Market.synthetic()


@pytest.fixture
def counted(tls: str) -> Callable[[], dict[str, int]]:
    """How much each counter of /proc/net/tls_stat has risen since the test's begin. Userspace TLS counts nothing."""
    before = kernel.tls_stat()
    return lambda: {name: value - before[name] for name, value in kernel.tls_stat().items()}
