"""Selections: fixed sets of series, and everything that can be done with them.

A selection can be inspected, downloaded, saved, cited or written to a manifest. Manifests and
pasted UIDs can be read into selections. Nothing here knows of widgets.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
