"""Imports go one way, and pure files stay pure. The rules are those of CONTRIBUTING.md."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the outside in: a part may import parts that stand behind it, and itself.
LAYERS = (
    ("service.__main__", "service.asgi"),
    ("service.server",),
    ("service.background",),
    ("service.edge", "service.web"),
    ("service.stream",),
    ("service.deps",),
    ("service.stream.admission", "service.stream.limiter", "service.stream.counters"),
    ("service.login",),
    ("service.store",),
    ("service.shared",),
    ("service.stream.limits",),
    ("service.recognizer",),
    ("service.websocket",),
    ("service.telemetry",),
    (
        "service.cancellation",
        "service.dialing",
        "service.forwarded",
        "service.settings",
        "service.settings_reader",
        "service.failures",
        "service.groups",
        "service.identity",
        "service.lifecycle",
        "service.retry_hint",
        "service.text",
        "service.tls_stream",
        "service.tokens",
        "service.users",
    ),
)
PURE = (
    "service.store.records",
    "service.store.cursor",
    "service.store.conversations",
    "service.shared.allotment",
    "service.web.contract",
    "service.web.openapi_30",
    "service.stream.origins",
    "service.stream.authentication",
    "service.login.answers",
    "service.tokens",
    "service.users",
    "service.settings",
    "service.settings_reader",
    "service.failures",
    "service.identity",
    "service.forwarded",
    "service.groups",
    "service.stream.limits",
    "service.stream.counters",
    "service.stream.meter",
    "service.stream.history",
    "service.stream.protocol",
    "service.stream.stream_settings",
    "service.stream.audio",
    "service.stream.audio_path",
    "service.stream.intake",
    "service.stream.mp3",
    "service.stream.uplink_mp3",
    "service.stream.transcript",
    "service.stream.state",
    "service.stream.stereo",
    "service.stream.outcome",
    "service.stream.failover",
    "service.stream.clocks",
    "service.lifecycle",
    "service.telemetry.overload",
    "service.recognizer.circuit",
    "service.text",
    "service.recognizer.tencent",
    "service.recognizer.tencent_api",
    "service.recognizer.formats",
    "service.recognizer.durations",
    "service.recognizer.splitting",
    "service.recognizer.preparation",
    "service.recognizer.rate",
    "service.web.recognize_form",
    "service.edge.head",
    "service.localasr.coded_audio",
    "service.localasr.codes",
    "service.localasr.audio",
    "service.localasr.capacity",
    "service.localasr.engine",
    "service.localasr.faults",
    "service.localasr.limits",
    "service.localasr.messages",
    "service.localasr.request",
    "service.localasr.segments",
    "service.localasr.scripted",
    "service.localasr.signature",
    "service.localasr.mp3_frames",
    "service.localasr.sniff",
    "service.localasr.sentence_request",
    "service.localasr.tc3",
    "service.localasr.api",
    "service.localasr.speech",
    "service.localasr.worker_wire",
    "service.retry_hint",
    "service.stream.upgrade",
    "service.websocket.handshake",
    "service.websocket.wire",
)
SANS_IO = ("websockets", "wsproto", "jwt")
"""Libraries that compute, and do not touch a socket."""


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it; `from package import module` names the module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                place = ROOT / full.replace(".", "/")
                found.add(full if place.is_dir() or place.with_suffix(".py").exists() else node.module)
    return found


def layer_of(module: str) -> int:
    """The place of a module: that of the longest name in LAYERS that it belongs to."""
    ranked = [
        (len(name), rank)
        for rank, names in enumerate(LAYERS)
        for name in names
        if module == name or module.startswith(name + ".")
    ]
    assert ranked, f"{module} has no place in LAYERS"
    return max(ranked)[1]


SERVICE = [path for path in files("service") if "localasr" not in path.parts and module_of(path) != "service"]


@pytest.mark.parametrize("path", SERVICE, ids=module_of)
def test_imports_go_one_way(path: Path) -> None:
    own = layer_of(module_of(path))
    for imported in imports(path):
        if imported.startswith("service."):
            assert layer_of(imported) >= own, f"{module_of(path)} imports {imported}, which stands before it"


def says_pure(path: Path) -> bool:
    return re.search(r"\bPure\b", ast.get_docstring(ast.parse(path.read_text())) or "") is not None


PURE_TOOLS = tuple(module_of(path) for path in files("loadtest") if says_pure(path))
"""In the load tester a file that says that it is pure is held to it."""
ALSO = {
    "loadtest.histograms": {"hdrh.codec", "hdrh.histogram"},  # it computes
    "loadtest.onset": {"loadtest.wav"},  # for its type
}


def test_the_pure_files_that_are_named_exist() -> None:
    assert [name for name in PURE if not (ROOT / (name.replace(".", "/") + ".py")).exists()] == []


@pytest.mark.parametrize("name", PURE + PURE_TOOLS)
def test_pure_files_import_pure_files(name: str) -> None:
    for imported in imports(ROOT / (name.replace(".", "/") + ".py")):
        top = imported.partition(".")[0]
        is_ours = top in ("service", "loadtest")
        allowed = (
            imported in PURE + PURE_TOOLS if is_ours else top in sys.stdlib_module_names or top in ("msgspec", *SANS_IO)
        )
        assert allowed or imported in ALSO.get(name, ()), f"{name} imports {imported}"


@pytest.mark.parametrize("path", files("service"), ids=module_of)
def test_the_service_imports_no_tool(path: Path) -> None:
    assert not {name for name in imports(path) if name.partition(".")[0] in ("loadtest", "ops", "tests")}


@pytest.mark.parametrize("path", files("service/localasr"), ids=module_of)
def test_the_local_recognizer_stands_alone(path: Path) -> None:
    """It checks the gateway's signatures, so it must not share the gateway's code."""
    assert not {
        name for name in imports(path) if name.startswith("service.") and not name.startswith("service.localasr")
    }


@pytest.mark.parametrize("path", SERVICE, ids=module_of)
def test_the_gateway_does_not_use_the_recognizers_code(path: Path) -> None:
    assert not {name for name in imports(path) if name.startswith("service.localasr")}


def test_files_stay_short() -> None:
    """One idea a file: about 400 lines."""
    everything = [path for package in ("service", "ops", "loadtest", "tests") for path in files(package)]
    assert {str(path.relative_to(ROOT)): count for path in everything if (count := _lines(path)) > 450} == {}


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())
