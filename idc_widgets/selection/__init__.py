"""Selections: fixed sets of series, and what a person does with them.

`client` and `widgets` import from here. Nothing here knows of widgets.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
