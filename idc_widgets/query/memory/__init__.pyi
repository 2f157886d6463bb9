from .arrow import to_numpy as to_numpy
from .encoded import EncodedColumn as EncodedColumn
from .loading import memory_index_of as memory_index_of
from .loading import prepare as prepare
from .mask import Mask as Mask
from .matches import Matches as Matches
from .matches import find_matches as find_matches
from .memory_index import MemoryIndex as MemoryIndex
