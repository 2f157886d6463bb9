"""Helpers that know nothing of IDC: files, locks, HTTP, and numbers as text.

Every other folder may import from here. Nothing here imports from another folder, except `errors`.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
