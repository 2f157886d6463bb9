"""The Jupyter widgets: the state that they share, a module per control, and `IDCBrowser`.

Every widget works alone with a `BrowserState`; `IDCBrowser` is the layout that we recommend. Only
the package itself imports from here, so all folders below work without Jupyter. The widgets know
neither SQL dialects nor how files are fetched: they use `IDCClient` and the objects that it makes.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
