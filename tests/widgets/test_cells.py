"""A cell that runs again closes the widgets that it showed before, unless they are in use."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.kernel import Kernel

SETUP = """
import ctypes, gc, json, os, pathlib, sys, threading, weakref
import ipywidgets as w
from IPython.display import display
from idc_widgets import BrowserState, DownloadWidget, IDCBrowser, IDCClient, PatientGrid, SearchBox

pathlib.Path("own.csv").write_text(
    "SeriesInstanceUID,StudyInstanceUID,PatientID,collection_id,Modality,series_aws_url,"
    "instanceCount,series_size_MB\\n"
    "1.1,1,Ann,mine,CT,s3://bucket/prefix-0/*,4,0.2\\n"
    "1.2,2,Bob,mine,MR,s3://bucket/prefix-1/*,4,0.2\\n"
)
client = IDCClient("own.csv")

def registry():
    try:
        from ipywidgets.widgets.widget import _instances
    except ImportError:  # ipywidgets 7
        _instances = w.Widget.widgets
    return _instances

made = {}  # name -> weak reference

def note(name, widget):
    made[name] = weakref.ref(widget)
    return widget

def is_open(name):
    widget = made[name]()
    return widget is not None and widget.comm is not None

def rss_MB():
    gc.collect()
    if hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6
"""

BROWSER = "browser = note('{0}', IDCBrowser(client))"


@pytest.fixture(scope="module")
def shared_kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        kernel.run(SETUP)
        yield kernel


@pytest.fixture
def kernel(shared_kernel: Kernel) -> Kernel:
    """Return a kernel without open widgets, in which no cell has used a widget."""
    shared_kernel.run(
        "w.Widget.close_all(); made.clear()\n"
        "for name in list(globals()):\n"
        "    if isinstance(globals()[name], w.Widget): del globals()[name]\n"
        "from idc_widgets.widgets import cells; cells._uses.clear(); del cells\n"
    )
    return shared_kernel


def is_open(kernel: Kernel, *names: str) -> list[bool]:
    """Return whether each of these widgets is open. Cells name widgets with `note`."""
    return list(json.loads(kernel.run(f"print(json.dumps([is_open(n) for n in {names!r}]))")))


def open_widgets(kernel: Kernel) -> int:
    return int(kernel.run("print(len(registry()))"))


@pytest.mark.parametrize(
    "code",
    ["IDCBrowser(client)", "browser = IDCBrowser(client)\nbrowser", "display(IDCBrowser(client))"],
)
def test_the_earlier_browser_is_closed(kernel: Kernel, code: str) -> None:
    kernel.run(code, "a")
    once = open_widgets(kernel)
    assert once > 20
    for _ in range(3):
        kernel.run(code, "a")
        assert open_widgets(kernel) == once


def test_a_closed_browser_can_be_collected(kernel: Kernel) -> None:
    for name in "abcde":
        kernel.run(f"note('{name}', IDCBrowser(client))", "a")
        kernel.run(f"note('state {name}', made['{name}']().state); None", "b")
    left = kernel.run("gc.collect(); print(sorted(n for n in made if made[n]() is not None))")
    assert left == "['e', 'state e']"


def test_the_history_keeps_no_closed_browser(kernel: Kernel) -> None:
    kernel.run("note('first', IDCBrowser(client))", "a")
    kernel.run("'kept'", "b")
    kernel.run("note('second', IDCBrowser(client))", "a")
    outputs = "[type(value).__name__ for value in Out.values()]"
    assert kernel.run(f"print({outputs}[-2:], _ is made['second'](), repr(___))") == (
        "['str', 'IDCBrowser'] True ''"
    )


def test_a_browser_that_another_cell_shows_stays_open(kernel: Kernel) -> None:
    kernel.run(BROWSER.format("first"), "make")
    kernel.run("browser", "show")
    kernel.run(BROWSER.format("second"), "make")
    assert is_open(kernel, "first", "second") == [True, True]
    kernel.run("browser", "show")
    assert is_open(kernel, "first", "second") == [False, True]


@pytest.mark.parametrize(
    "keep",
    [
        "kept = browser",
        "kept = [{'x': (browser,)}]",
        "class App: pass\nkept = App(); kept.view = browser",
        "def kept(browser=browser): pass",
        "kept = (lambda b: lambda: b)(browser)",
        "kept = w.VBox([browser])",
    ],
)
def test_a_browser_that_a_variable_leads_to_stays_open(kernel: Kernel, keep: str) -> None:
    code = BROWSER + "\nbrowser"
    kernel.run(code.format("first"), "a")
    kernel.run(keep, "b")
    kernel.run(code.format("second"), "a")
    kernel.run(code.format("third"), "a")
    assert is_open(kernel, "first", "second", "third") == [True, False, True]
    kernel.run("kept = None")
    if "VBox" not in keep:  # an open box keeps its children
        kernel.run(code.format("fourth"), "a")
        assert is_open(kernel, "first", "third", "fourth") == [False, False, True]


@pytest.mark.parametrize(
    ("variable", "stays_open"),
    [
        ("[pathlib.Path(f'/data/{i}.dcm') for i in range(25_000)]", False),
        (
            "{i: [pathlib.Path(f'/data/{i}.dcm')] * 2 + [pathlib.Path()] for i in range(9_000)}",
            False,
        ),
        ("[*(pathlib.Path(f'/data/{i}.dcm') for i in range(25_000)), [browser]]", True),
        ("[*(object() for _ in range(25_000)), browser]", True),
    ],
)
def test_a_long_list_in_a_variable_keeps_a_browser_only_if_it_has_it(
    kernel: Kernel, variable: str, stays_open: bool
) -> None:
    kernel.run(BROWSER.format("first") + "\nbrowser", "a")
    kernel.run(f"paths = {variable}")
    kernel.run(BROWSER.format("second") + "\nbrowser", "a")
    kernel.run("1", "b")
    assert is_open(kernel, "first", "second") == [stays_open, True]
    kernel.run("del paths")


def test_one_run_may_show_many_browsers(kernel: Kernel) -> None:
    code = "for i in range(3): display(note(f'{run} {i}', IDCBrowser(client)))"
    kernel.run("run = 1")
    kernel.run(code, "a")
    assert is_open(kernel, "1 0", "1 1", "1 2") == [True] * 3
    kernel.run("run = 2")
    kernel.run(code, "a")
    assert is_open(kernel, "1 0", "1 1", "1 2") == [False] * 3
    assert is_open(kernel, "2 0", "2 1", "2 2") == [True] * 3


def test_the_same_code_in_another_cell_closes_nothing(kernel: Kernel) -> None:
    code = "browser = IDCBrowser(client); made.setdefault('first', weakref.ref(browser)); browser"
    kernel.run(code, "a")
    kernel.run(code, "b")
    assert is_open(kernel, "first") == [True]


def test_without_ids_of_cells_nothing_is_closed(kernel: Kernel) -> None:
    code = "browser = IDCBrowser(client); made.setdefault('first', weakref.ref(browser)); browser"
    kernel.run(code)
    kernel.run(code)
    assert is_open(kernel, "first") == [True]
    kernel.run(BROWSER.format("second"), "a")
    kernel.run("browser")  # as a console does
    kernel.run(BROWSER.format("third"), "a")
    assert is_open(kernel, "second") == [True]


def test_a_browser_in_an_output_widget_stays_open(kernel: Kernel) -> None:
    kernel.run("out = w.Output(); out", "out")
    code = BROWSER + "\nwith out: display(browser)"
    kernel.run(code.format("first"), "a")
    kernel.run(code.format("second"), "a")
    assert is_open(kernel, "first", "second") == [True, True]


def test_a_browser_that_was_never_shown_is_closed(kernel: Kernel) -> None:
    kernel.run(BROWSER.format("first"), "a")
    kernel.run(BROWSER.format("second"), "a")
    assert is_open(kernel, "first", "second") == [False, True]


def test_a_cell_that_fails_does_not_close_the_browser_of_a_variable(kernel: Kernel) -> None:
    kernel.run((BROWSER + "\nbrowser").format("first"), "a")
    kernel.run("try: 1 / 0\nexcept ZeroDivisionError: pass", "a")
    assert is_open(kernel, "first") == [True]


def test_a_widget_that_is_shown_alone_is_closed_and_its_state_is_not(kernel: Kernel) -> None:
    kernel.run("state = BrowserState(client); box = SearchBox(state); box", "state")
    before = open_widgets(kernel)
    for name in ("first", "second"):
        kernel.run(f"note('{name}', PatientGrid(state))", "a")
    assert is_open(kernel, "first", "second") == [False, True]
    kernel.run("w.HTML('no grid any more')", "a")
    assert is_open(kernel, "second") == [False]
    assert open_widgets(kernel) == before + 3  # HTML with its layout and style
    kernel.run("state.pick(patients=['Ann'])")
    assert kernel.run("print(len(state.selection), box.comm is not None)") == "1 True"


def test_a_running_download_survives(kernel: Kernel) -> None:
    kernel.run(
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))  # accepts, and never answers\n"
        "address = f'http://127.0.0.1:{server.getsockname()[1]}'"
    )
    code = BROWSER.replace("client)", "client, endpoint_url=address)") + "\nbrowser"
    kernel.run(code.format("first"), "a")
    kernel.run("job = browser.download()", "b")
    kernel.run(code.format("second"), "a")
    assert is_open(kernel, "first", "second") == [False, True]
    assert kernel.run("print(job.is_finished, job.is_cancelling)") == "False False"
    kernel.run("server.close(); job.cancel(); job.wait(30)")
    assert kernel.run("print(job.state)") == "cancelled"


def test_memory_does_not_grow_with_the_runs_of_a_cell() -> None:
    # With one arena, malloc gives back what Python frees.
    with Kernel({"MALLOC_ARENA_MAX": "1"}) as kernel:
        kernel.run(SETUP)

        def rss_of(code: str, runs: int) -> tuple[float, float]:
            """Run a cell many times; return the lowest memory of runs 3 to 12, and of the last ten.

            The memory is in MB. After some runs, native libraries keep a buffer of 16 MB, after
            others they do not. Leaked memory stays after every run, so the lowest figure has it.
            """
            first, last = [], []
            for run in range(runs):
                kernel.run(code, code)
                assert open_widgets(kernel) == once
                rss = float(kernel.run("print(rss_MB())"))
                if 2 <= run < 12:
                    first.append(rss)
                if run >= runs - 10:
                    last.append(rss)
            return min(first), min(last)

        kernel.run(shown := "browser = IDCBrowser()\nbrowser", shown)
        once = open_widgets(kernel)
        for code, runs in ((shown, 50), ("browser = IDCBrowser(); browser.close()", 22)):
            before, after = rss_of(code, runs)
            assert after - before <= 20, code
