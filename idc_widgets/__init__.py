"""Browse and download the NCI Imaging Data Commons from a notebook.

Start with `IDCClient` in plain Python, and with `IDCBrowser` in a notebook. The public names are
listed in ``__init__.pyi`` and imported on first use, so that ``import idc_widgets`` is fast and
needs no Jupyter.
"""

import lazy_loader as _lazy

from ._util import VERSION

__version__ = VERSION

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
# ``from idc_widgets import *`` must also work without the optional packages that IbisEngine needs.
__all__.remove("IbisEngine")
