"""A Jupyter server for tests. It reads no Jupyter configuration of the machine."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

__all__ = ["OWN_FOLDER", "PATIENCE", "JupyterServer"]

PATIENCE = 360.0
"""Seconds until a wait fails; long, because the machines of CI services are slow.

On such a machine, with two workers, a page of JupyterLab has taken 130 s to open.
"""

OWN_FOLDER = ".lab"
"""The folder in the served folder with configuration, logs and connection files."""


class JupyterServer:
    """A server process, which runs during a ``with`` statement.

    Args:
        folder: The folder that it serves.
        module: The module to run, such as "jupyterlab".
        *arguments: More arguments of the command.
        app: The prefix of the options of the server.
        env: More environment variables of the server and its kernels.
        python: The Python of the server and its kernels; by default this one.
    """

    def __init__(
        self,
        folder: Path,
        module: str,
        *arguments: str,
        app: str = "ServerApp",
        env: Mapping[str, str] | None = None,
        python: str = sys.executable,
    ) -> None:
        self._folder, self._module, self._arguments, self._app = folder, module, arguments, app
        self._own = folder / OWN_FOLDER
        self._env, self._python = dict(env or {}), python
        self._stack = ExitStack()
        self.url, self.pid = "", 0

    def __enter__(self) -> JupyterServer:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def log(self) -> str:
        """Return the end of the log."""
        with suppress(OSError):
            return (self._own / "server.log").read_text(errors="replace")[-6000:]
        return ""

    def _start(self, stack: ExitStack) -> None:
        for sub in ("config", "data", "runtime", "settings", "workspaces", "ipython"):
            (self._own / sub).mkdir(parents=True, exist_ok=True)
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [self._python, "-m", self._module, *self._arguments, *self._options(port)]
        log = stack.enter_context((self._own / "server.log").open("wb"))
        process = subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        stack.callback(_stop, process)
        self.pid = process.pid
        deadline = time.monotonic() + PATIENCE
        while not _answers(f"{self.url}/api/status"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self._module} did not start\n{self.log()}")
            time.sleep(0.1)

    def _options(self, port: int) -> list[str]:
        app = self._app
        if app == "Voila":
            return ["--no-browser", "--Voila.ip=127.0.0.1", f"--Voila.port={port}"]
        token = "NotebookApp.token" if app == "NotebookApp" else "IdentityProvider.token"
        root = "notebook_dir" if app == "NotebookApp" else "root_dir"
        return [
            *(f"--{app}.open_browser=False", "--allow-root", f"--{app}.ip=127.0.0.1"),
            *(f"--{app}.port={port}", f"--{app}.port_retries=0", f"--{token}="),
            *(f"--{app}.disable_check_xsrf=True", f"--{app}.allow_remote_access=False"),
            f"--{app}.{root}={self._folder}",
        ]

    def _environment(self) -> dict[str, str]:
        # Kernels import the same idc_widgets as the tests, installed or not.
        spec = importlib.util.find_spec("idc_widgets")
        folders = [str(Path(spec.origin).parents[1])] if spec and spec.origin else []
        if inherited := os.environ.get("PYTHONPATH"):
            folders.append(inherited)
        if first := self._env.get("PYTHONPATH"):
            folders.insert(0, first)
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith("JUPYTER")},
            "JUPYTER_PREFER_ENV_PATH": "1",
            "JUPYTER_CONFIG_DIR": str(self._own / "config"),
            "JUPYTER_DATA_DIR": str(self._own / "data"),
            "JUPYTER_RUNTIME_DIR": str(self._own / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(self._own / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self._own / "workspaces"),
            "IPYTHONDIR": str(self._own / "ipython"),
            **self._env,
            "PYTHONPATH": os.pathsep.join(folders),
        }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    # The server is on this machine: ignore any proxy of the environment.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True  # Voila has no such address
    except OSError:
        return False
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and its kernels: terminate them, then kill those that still run."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        with suppress(ProcessLookupError):
            process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
    with suppress(ProcessLookupError, PermissionError):  # kernels still running
        os.killpg(process.pid, signal.SIGKILL)
