from .encoded import EncodedColumn as EncodedColumn
from .encoded import to_numpy as to_numpy
from .memory_index import Mask as Mask
from .memory_index import Matches as Matches
from .memory_index import MemoryIndex as MemoryIndex
from .memory_index import memory_index_of as memory_index_of
from .memory_index import prepare as prepare
