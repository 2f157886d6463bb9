"""What users install is the wheel, not the checkout: builds it, and installs it elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    """The output of a command of this Python; when it fails, so does the test, with all it said."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(folder: Path) -> Path:
    """The wheel of the checkout, in `folder`."""
    # No isolation: hatchling is among the test packages, so that building needs no network.
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    run("-m", "pip", "wheel", *options, "--wheel-dir", folder, ROOT, cwd=folder)
    (path,) = folder.glob("idc_widgets-*.whl")
    return path


def install(wheel: Path, target: Path) -> Path:
    """A folder that holds what the wheel installs, and is not the checkout."""
    options = ["--no-deps", "--no-index", "--no-compile", "--quiet"]
    run("-m", "pip", "install", *options, "--target", target, wheel, cwd=target)
    return target
