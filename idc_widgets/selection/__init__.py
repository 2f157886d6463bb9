"""Selections: fixed sets of series, and everything that can be done with them.

A selection is looked at, downloaded, saved, cited or written to a manifest; manifests and pasted
UIDs become selections. Nothing here knows of widgets.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
