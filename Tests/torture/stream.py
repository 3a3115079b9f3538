"""Bytes that both ends know from a seed, so that each can tell at once the first that is wrong."""
import hashlib
import random

BLOCK = 1 << 16
STAMP = 16
_NOISE = random.Random("spunnel").randbytes(BLOCK + (1 << 20))


def _block(seed, index):
    # The stamp makes each block unique, so that a lost, doubled or moved block is detected.
    stamp = hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=STAMP).digest()
    start = int.from_bytes(stamp[:3], "big") % (1 << 20)
    return stamp + _NOISE[start:start + BLOCK - STAMP]


class Pattern:
    """One direction of one connection."""

    def __init__(self, seed, length):
        self.seed = seed
        self.length = length
        self.position = 0

    @property
    def left(self):
        return self.length - self.position

    def take(self, most):
        """The next bytes, at most the rest of a block."""
        index, offset = divmod(self.position, BLOCK)
        part = _block(self.seed, index)[offset:offset + min(most, self.left)]
        self.position += len(part)
        return part

    def check(self, got):
        """Goes on by what came. Returns None, or the position of a byte that should not be there."""
        view = memoryview(got)
        while view:
            if not self.left:
                return self.position
            wanted = self.take(len(view))
            if view[:len(wanted)] != wanted:
                return self.position - len(wanted) + _first_difference(view, wanted)
            view = view[len(wanted):]
        return None


def _first_difference(one, other):
    return next(index for index, pair in enumerate(zip(one, other)) if pair[0] != pair[1])
