"""Who may import whom, and what the C files that parse may call. The picture itself: the first lines of each module."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lb.pump import Layout

PROJECT = Path(__file__).parents[1]
PUMP = PROJECT / "lb" / "pump" / "csrc"
COLUMNAR = PROJECT / "trade_balancer" / "columnar" / "csrc"


def module_name(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, in full; of `from x import y` both x and x.y."""
    package = path.parent.relative_to(PROJECT).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


IMPORTS = {
    module_name(path): set(imports_of(path))
    for package in ("lb", "ktls", "trade_balancer", "workers")
    for path in sorted((PROJECT / package).rglob("*.py"))
    if path.name != "build.py"
}


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def importers(*packages: str, among: str) -> set[str]:
    """The modules within `among` that import one of the packages from outside of it."""
    return {
        module
        for module, imported in IMPORTS.items()
        if within(module, among) and not within(module, *packages) and any(within(name, *packages) for name in imported)
    }


def test_there_is_something_to_look_at() -> None:
    assert {"lb.balancer", "lb.pump", "ktls", "trade_balancer", "workers"} <= IMPORTS.keys()


def test_the_sdk_imports_neither_lb_nor_ktls() -> None:
    assert importers("lb", "ktls", among="trade_balancer") == set()


def test_the_short_name_of_the_sdk_has_nothing_of_its_own() -> None:
    """Nor does the SDK use it: in a project with a folder `workers/` it is that folder."""
    assert {name.partition(".")[0] for name in IMPORTS["workers"]} == {"trade_balancer", "typing"}
    assert importers("workers", among="trade_balancer") == set()


EXTRAS = {
    "trade_balancer.typed": {"msgspec"},
    "trade_balancer.parquet_files": {"pyarrow"},
    "trade_balancer.postgresql": {"psycopg"},
    "trade_balancer.sql_questdb": {"questdb"},
    "trade_balancer.zstd": {"zstandard"},
    "trade_balancer.recording.block": {"zstandard"},
    "trade_balancer.columnar.arrays": {"numpy"},
    "trade_balancer.books.program": {"uvloop"},
    "trade_balancer.books.rest": {"httpx"},
    "trade_balancer.books.fix.acceptor": {"fixcore"},
    "trade_balancer.books.fix.client": {"fixcore"},
    "trade_balancer.books.fix.connection": {"fixcore"},
    "trade_balancer.books.fix.requests": {"fixcore"},
    "trade_balancer.books.fix.store": {"fixcore"},
    "trade_balancer.books.fix.views": {"fixcore"},
    "trade_balancer.books.service.access": {"grpc"},
    "trade_balancer.books.service.clients": {"grpc"},
    "trade_balancer.books.service.following": {"grpc"},
    "trade_balancer.books.service.mirror": {"grpc"},
    "trade_balancer.books.service.protos": {"google"},
    "trade_balancer.books.service.protos.__main__": {"grpc_tools"},
    "trade_balancer.books.service.screen": {"rich"},
    "trade_balancer.books.service.server": {"google", "grpc", "grpc_health", "grpc_reflection"},
    "trade_balancer.books.service.streams": {"google", "grpc"},
    "trade_balancer.control.picture": {"rich"},
    "trade_balancer.control.screen": {"rich"},
    "trade_balancer.books.exposition": {"prometheus_client"},
    "trade_balancer.kafka.library": {"confluent_kafka"},
    "trade_balancer.kafka.plain_outbox": {"confluent_kafka"},
    "trade_balancer.kafka.topics": {"confluent_kafka"},
    "trade_balancer.ledger.export_parquet": {"pyarrow"},
    "trade_balancer.ledger.partitions": {"confluent_kafka"},
    "trade_balancer.emit.audience": {"numpy"},
    "trade_balancer.emit.board": {"numpy"},
    "trade_balancer.emit.counters": {"numpy"},
    "trade_balancer.emit.door": {"websockets"},
    "trade_balancer.emit.emitter": {"numpy"},
    "trade_balancer.emit.exposition": {"prometheus_client", "websockets"},
    "trade_balancer.emit.group": {"numpy"},
    "trade_balancer.emit.intake": {"numpy"},
    "trade_balancer.emit.site": {"websockets"},
    "trade_balancer.emit.visitor": {"websockets"},
    "trade_balancer.emit.wire": {"websockets"},
    "trade_balancer.page.exposition": {"prometheus_client"},
    "trade_balancer.page.families": {"prometheus_client"},
}
"""The modules that need what an extra brings."""


def test_the_sdk_needs_nothing_but_the_standard_library_and_orjson() -> None:
    allowed = sys.stdlib_module_names | {"trade_balancer", "orjson"}
    others = {
        (module, name)
        for module, imported in IMPORTS.items()
        if within(module, "trade_balancer")
        for name in imported
        if name.partition(".")[0] not in allowed | EXTRAS.get(module, set())
    }
    assert others == set()


def test_ktls_needs_nothing_but_the_standard_library() -> None:
    others = {
        (module, name)
        for module, imported in IMPORTS.items()
        if within(module, "ktls")
        for name in imported
        if name.partition(".")[0] not in sys.stdlib_module_names | {"ktls"}
    }
    assert others == set()


def test_only_the_session_knows_tls() -> None:
    users = importers("ssl", "ktls", among="lb")
    assert {module for module in users if not within(module, "lb.feed.session", "lb.replay", "lb.setup")} == set()


VENUES = {layout.name.lower() for layout in Layout}
WHERE_VENUES_ARE_LISTED = {
    *("lb/replay/venues/__init__.py", "lb/feed/venues/__init__.py", "lb/pump/layouts.py", "lb/pump/_pump.pyi"),
    *("lb/pump/csrc/layouts.h", "lb/pump/csrc/layouts.c"),
}
"""Files that say which there are, and nothing about them."""


def test_no_venue_is_spelled_outside_of_its_own_files() -> None:
    """Its dialogue, its row in the pump and its fake, which have its name; the rest of lb-replay plays Polygon's."""
    dialogues = {path.stem for path in (PROJECT / "lb/feed/venues").glob("*.py")} - {"__init__"}
    assert dialogues <= VENUES == {path.stem for path in PUMP.glob("*.c")} & VENUES
    for path in sorted((PROJECT / "lb").rglob("*")):
        name = str(path.relative_to(PROJECT))
        if path.suffix not in (".py", ".pyi", ".c", ".h") or name in WHERE_VENUES_ARE_LISTED:
            continue
        is_of_tapes = name.startswith("lb/replay/") and not name.startswith("lb/replay/venues/")
        own = {"polygon"} if is_of_tapes else {path.stem}
        assert {venue for venue in VENUES if venue in path.read_text().lower()} <= own, name


def test_only_the_supervisor_starts_workers_and_nobody_else_processes_but_the_page_s_and_the_next_lb_s() -> None:
    assert importers("lb.slots.spawn.spawn", among="lb") == {
        "lb.slots.supervisor",
        "lb.page",
        "lb.handover.question",
    }
    assert {
        name for name in importers("subprocess", "multiprocessing", among="lb") if not within(name, "lb.setup")
    } == set()


def test_only_the_command_line_knows_the_balancer() -> None:
    assert importers("lb.balancer", among="lb") == {"lb.cli"}
    assert importers("lb.cli", among="lb") <= {"lb.__main__"}


WHERE_THE_SIDES_MEET = {"lb.balancer", "lb.desk", "lb.handing_over", "lb.estate"}
"""The loop around all of them, what it leaves to another program, or to the next start, and where other programs'
wishes, which concern all of them, are carried out."""


def test_the_parts_do_not_know_each_other() -> None:
    feed_side, worker_side = ("lb.feed",), ("lb.slots",)
    for module, imported in IMPORTS.items():
        if module not in WHERE_THE_SIDES_MEET and within(module, "lb") and not within(module, "lb.replay"):
            sides = [any(within(name, *side) for name in imported) for side in (feed_side, worker_side)]
            assert not all(sides), module
            assert not (within(module, *feed_side) and sides[1]), module
            assert not (within(module, *worker_side) and sides[0]), module


def test_the_control_socket_knows_neither_feed_nor_workers() -> None:
    known = {
        name for module in IMPORTS if within(module, "lb.control") for name in IMPORTS[module] if within(name, "lb")
    }
    assert {name for name in known if within(name, "lb.feed", "lb.slots", "lb.pump", "lb.balancer")} == set()
    assert importers("lb.control", among="lb") == {
        "lb.desk",
        "lb.balancer",
        "lb.handing_over",
        "lb.handover.upgrade",
    }


def test_only_the_balancer_knows_the_desk() -> None:
    assert importers("lb.desk", among="lb") == {"lb.balancer", "lb.handing_over"}
    assert importers("lb.readers", among="lb") == {"lb.desk"}


def test_the_pump_knows_errors_alone() -> None:
    assert {
        name for name in IMPORTS["lb.pump"] if within(name, "lb") and not within(name, "lb.errors", "lb.pump")
    } == set()


NO_INPUT_OR_OUTPUT = (
    *("lb.backoff", "lb.config", "lb.lifecycle", "lb.feed.venues", "lb.feed.venue", "lb.feed.dialogue"),
    *(
        "lb.feed.overlap",
        "lb.feed.pace",
        "lb.feed.subscriptions",
        "lb.control.protocol",
        "trade_balancer.books.books",
        "trade_balancer.books.keeper",
        "trade_balancer.books.near",
        "trade_balancer.books.summary",
        "trade_balancer.books.venue",
        "trade_balancer.books.venues",
        *(
            f"trade_balancer.ledger.{name}"
            for name in ("account", "audit", "change", "export", "sharding", "state", "transaction")
        ),
        "trade_balancer.ledger.validation",
        "trade_balancer.emit.board",
        "trade_balancer.emit.dialogue",
        "trade_balancer.emit.forms",
        "trade_balancer.emit.group",
        "trade_balancer.emit.wire",
        "lb.feed.session.frames",
        "lb.feed.session.upgrade",
        "lb.feed.session.answer",
    ),
)
INPUT_AND_OUTPUT = ("socket", "select", "selectors", "os", "io", "subprocess", "threading", "asyncio", "pathlib", "ssl")
INPUT_AND_OUTPUT += ("urllib.request", "http", "fcntl", "signal", "mmap", "tempfile", "shutil", "time")


@pytest.mark.parametrize("name", [name for name in IMPORTS if within(name, *NO_INPUT_OR_OUTPUT)])
def test_no_input_or_output_in(name: str) -> None:
    assert {imported for imported in IMPORTS[name] if within(imported, *INPUT_AND_OUTPUT)} == set()


def test_the_feed_simulator_is_a_program_of_its_own() -> None:
    assert importers("lb.replay", among="lb") == set()
    for module in IMPORTS:
        if within(module, "lb.replay"):
            of_lb = {name for name in IMPORTS[module] if within(name, "lb") and name != "lb"}
            assert {name for name in of_lb if not within(name, "lb.replay", "lb.version", "lb.numbers")} == set(), (
                module
            )


def test_lb_setup_is_a_program_of_its_own() -> None:
    assert importers("lb.setup", among="lb") == set()


def test_what_a_service_manager_is_told_knows_neither_feed_nor_workers() -> None:
    known = {name for module in IMPORTS if within(module, "lb.service") for name in IMPORTS[module]}
    assert {name for name in known if within(name, "lb.feed", "lb.slots", "lb.pump", "lb.balancer")} == set()


def includes_of(stem: str) -> set[str]:
    """What the C file and its header include of the pump's own; the face and the state are everybody's."""
    texts = (path.read_text() for path in PUMP.glob(f"{stem}.[ch]"))
    included = {name for text in texts for name in re.findall(r'^#include "(\w+)\.h"', text, re.MULTILINE)}
    return included - {stem, "pump", "pump_rc", "pump_state"}


def test_the_pump_s_files_form_no_circle() -> None:
    """Each can be read without those that use it."""
    left = {path.stem: includes_of(path.stem) for path in PUMP.glob("*.[ch]")}
    while left:
        readable = {stem for stem, included in left.items() if not included & left.keys()}
        assert readable, f"a circle among {sorted(left)}"
        left = {stem: included for stem, included in left.items() if stem not in readable}


def test_the_pump_s_face_is_all_that_the_tests_of_its_behaviour_and_python_see() -> None:
    face, state = ((PUMP / name).read_text() for name in ("pump.h", "pump_state.h"))
    assert "pump_state.h" not in re.findall(r'^#include "(.*)"', face, re.MULTILINE)
    assert "cffi" not in state


PARSERS = {
    "number.c": "",
    "json.c": "",
    "layout.c": "",
    "recording.c": "",
    "scan.c": "",
    "ledger/csrc/validation.c": "",
    "json_member.c": "",
    "ws_frame.c": "",
    **{
        f"books/csrc/{name}.c": ""
        for name in (
            *("binance", "bitstamp", "coinbase", "kraken", "polygon"),
            *("best", "decimal", "entries", "events", "instant", "members", "pairs"),
        )
    },
    "kafka/csrc/subject.c": "",
    "scan.h": "size_t use(const uint8_t *text, size_t size) { return scan_flat(text, size); }",
    "utf8.h": "int use(struct utf8 *utf8, uint8_t byte) { return utf8_accept(utf8, byte); }",
    "shard.h": "uint32_t use(const uint8_t *key, size_t size) { return shard_of(key, size, 3); }",
    "binance.h": "int use(const uint8_t *text, size_t size, struct json_span *key)"
    " { return binance_is_notice(text, size) || binance_shard_key(text, size, key) || binance_kind(text, size, key)"
    " || binance_flat_bytes(text, size); }",
    "bitstamp.h": "int use(const uint8_t *text, size_t size, struct json_span *key)"
    " { return bitstamp_is_notice(text, size) || bitstamp_shard_key(text, size, key)"
    " || bitstamp_kind(text, size, key); }",
    "coinbase.h": "int use(const uint8_t *text, size_t size, struct json_span *key)"
    " { return coinbase_is_notice(text, size) || coinbase_is_told(text, size) || coinbase_shard_key(text, size, key)"
    " || coinbase_kind(text, size, key); }",
    "kraken.h": "int use(const uint8_t *text, size_t size, struct json_span *key)"
    " { return kraken_is_notice(text, size) || kraken_shard_key(text, size, key) || kraken_kind(text, size, key); }",
    "polygon.h": "int use(const uint8_t *text, size_t size, struct json_span *key)"
    " { return polygon_is_notice(text, size) || polygon_shard_key(text, size, key) || polygon_kind(text, size, key); }",
}
ALLOWED_SYMBOLS = {"memcpy", "memcmp", "memmove", "memset", "memchr", "memrchr", "strlen", "strnlen"}
OWN_SYMBOLS = (
    "polygon_",
    "binance_",
    "bitstamp_",
    "coinbase_",
    "kraken_",
    "scan_",
    "ws_",
    "number_",
    "json_",
    "recording_",
    "ledger_",
    *("best_", "decimal_", "entries_", "events_", "instant_", "members_", "pair_", "pairs_"),
    *("level_", "string_", "text_", "value_"),
)
"""What a header declares stands in its own .c, and one parser may use another."""


@pytest.mark.parametrize("source", PARSERS)
def test_what_parses_calls_nothing(source: str, tmp_path: Path) -> None:
    """No system call, no memory of its own, no globals: an object file that wants nothing from elsewhere but mem*."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None or shutil.which("nm") is None:
        text = "NOT TESTED: what the C parsers call, for want of a C compiler with nm"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
    unit = tmp_path / "unit.c"
    unit.write_text(f'#include "{source}"\n{PARSERS[source]}\n')
    folders = [f"-I{folder}" for folder in (COLUMNAR, PUMP, PROJECT / "trade_balancer")]
    command = [compiler, "-std=c11", "-D_GNU_SOURCE", "-O2", "-fno-pie", *folders, "-c", str(unit)]
    subprocess.run([*command, "-o", str(tmp_path / "unit.o")], check=True)
    listed = subprocess.run(["nm", str(tmp_path / "unit.o")], check=True, capture_output=True, text=True).stdout
    symbols = [line.split()[-2:] for line in listed.splitlines()]
    wanted = {name for kind, name in symbols if kind == "U"}
    assert {name for name in wanted if not name.startswith(OWN_SYMBOLS)} <= ALLOWED_SYMBOLS
    assert [name for kind, name in symbols if kind in "BbDdCc" and kind != "r"] == []
