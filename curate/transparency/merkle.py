"""The Merkle tree of RFC 6962 (section 2.1): its root, and proofs that a leaf is in it and that it only grew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

Levels = list[list[bytes]]
"""The hashes of a tree from its leaves (first) to its root (last); a node without a sibling moves up as it is."""

EMPTY = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(b"\x00" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def levels(leaves: Iterable[bytes]) -> Levels:
    """All hashes of the tree over the hashes of its leaves."""
    found = [list(leaves)]
    while len(found[-1]) > 1:
        below = found[-1]
        above = [_node(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)]
        found.append(above + below[len(above) * 2 :])
    return found


def root(tree: Levels) -> bytes:
    """The tree's head: the hash of all of it."""
    return tree[-1][0] if tree[0] else EMPTY


def inclusion(tree: Levels, index: int) -> list[bytes]:
    """The audit path of a leaf (RFC 6962, 2.1.1), from below."""
    return _path(tree, 0, index)


def consistency(tree: Levels, size: int) -> list[bytes]:
    """The proof that the tree begins with its first `size` leaves (RFC 6962, 2.1.2), from below."""
    if not 0 < size < len(tree[0]):
        return []
    level, index = 0, size - 1
    while index & 1:  # up to the largest whole subtree that ends where the older tree does
        level, index = level + 1, index >> 1
    return [tree[level][index]][: index > 0] + _path(tree, level, index)


def _path(tree: Levels, level: int, index: int) -> list[bytes]:
    found = []
    for hashes in tree[level:]:
        sibling = index ^ 1
        if sibling < len(hashes):
            found.append(hashes[sibling])
        index >>= 1
    return found


def includes(head: bytes, size: int, leaf: bytes, index: int, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree of this head and size has this leaf hash at this place."""
    last, found = size - 1, leaf
    if not 0 <= index < size:
        return False
    for sibling in proof:
        if not last:
            return False
        if index & 1 or index == last:
            found = _node(sibling, found)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = _node(found, sibling)
        index, last = index >> 1, last >> 1
    return not last and found == head


def extends(old_head: bytes, old: int, head: bytes, size: int, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree of `size` leaves begins with the older one of `old` leaves."""
    if not 0 < old < size:
        return not proof and (old == 0 or (old == size and old_head == head))
    index, last = old - 1, size - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    path = list(proof) if index else [old_head, *proof]
    if not path:
        return False
    before = after = path[0]
    for sibling in path[1:]:
        if not last:
            return False
        if index & 1 or index == last:
            before, after = _node(sibling, before), _node(sibling, after)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            after = _node(after, sibling)
        index, last = index >> 1, last >> 1
    return not last and before == old_head and after == head
