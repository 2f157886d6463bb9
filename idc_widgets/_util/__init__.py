"""Helpers that know nothing of IDC: words for numbers, lock files, HTTP.

Every folder above may import from here; nothing here imports from another folder but `errors`.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
