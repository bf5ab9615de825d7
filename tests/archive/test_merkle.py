"""The Merkle tree is RFC 6962's: its published vectors, its definition, and another implementation agree."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.transparency import merkle

# of the reference implementation, github.com/google/certificate-transparency (Apache-2.0): merkle_tree_test.cc
INPUTS = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSIONS = {  # (leaf, size), from 1: path
    (1, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (6, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (3, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
    (2, 5): (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
CONSISTENCIES = {
    (1, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
HASHES = [merkle.leaf_hash(data) for data in INPUTS]


def _tree(size: int) -> merkle.Levels:
    return merkle.levels(HASHES[:size])


def _many(size: int, seed: int = 0) -> list[bytes]:
    return [merkle.leaf_hash(b"%d %d" % (seed, number)) for number in range(size)]


def test_published_roots() -> None:
    """The roots of the reference implementation's eight leaves, and of no leaf, come out."""
    assert merkle.root(_tree(0)) == sha256(b"").digest()
    assert [merkle.root(_tree(size)).hex() for size in range(1, 9)] == ROOTS


@pytest.mark.parametrize(("place", "path"), INCLUSIONS.items())
def test_published_inclusion_proofs(place: tuple[int, int], path: tuple[str, ...]) -> None:
    """The audit paths of the reference implementation come out, and verify."""
    leaf, size = place
    proof = merkle.inclusion(_tree(size), leaf - 1)
    assert [step.hex() for step in proof] == list(path)
    assert merkle.includes(bytes.fromhex(ROOTS[size - 1]), size, HASHES[leaf - 1], leaf - 1, proof)


@pytest.mark.parametrize(("sizes", "path"), CONSISTENCIES.items())
def test_published_consistency_proofs(sizes: tuple[int, int], path: tuple[str, ...]) -> None:
    """The consistency proofs of the reference implementation come out, and verify."""
    old, new = sizes
    proof = merkle.consistency(_tree(new), old)
    assert [step.hex() for step in proof] == list(path)
    assert merkle.extends(bytes.fromhex(ROOTS[old - 1]), old, bytes.fromhex(ROOTS[new - 1]), new, proof)


def _defined(leaves: list[bytes]) -> bytes:
    """MTH as section 2.1 of RFC 6962 writes it."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + _defined(leaves[:k]) + _defined(leaves[k:])).digest()


@given(st.integers(1, 70), st.data())
def test_proofs_hold_and_nothing_else_does(size: int, data: st.DataObject) -> None:
    """For any size: the root is the definition's, each proof verifies, and not for another leaf, place or root."""
    leaves = _many(size)
    tree, index = merkle.levels(leaves), data.draw(st.integers(0, size - 1))
    head = merkle.root(tree)
    assert head == _defined(leaves)
    proof = merkle.inclusion(tree, index)
    assert merkle.includes(head, size, leaves[index], index, proof)
    other = data.draw(st.integers(-1, size + 1).filter(lambda place: place != index))
    assert not merkle.includes(head, size, leaves[index], other, proof)
    assert not merkle.includes(head, size, merkle.leaf_hash(b"another"), index, proof)
    assert not merkle.includes(head, size, leaves[index], index, [*proof, head])
    old = data.draw(st.integers(0, size))
    grown = merkle.consistency(tree, old)
    assert merkle.extends(_defined(leaves[:old]), old, head, size, grown)
    if old:
        rewritten = _defined([*leaves[: old - 1], merkle.leaf_hash(b"another")])
        assert not merkle.extends(rewritten, old, head, size, grown)
        assert old == size or not merkle.extends(_defined(leaves[:old]), old, head, size, grown[:-1])


ORACLE = """
import json, sys
from pymerkle import InmemoryTree, verify_consistency, verify_inclusion
tree, said = InmemoryTree(algorithm="sha256"), {"roots": [], "paths": {}}
for number in range(40):
    tree.append_entry(b"0 %d" % number)
    size = number + 1
    said["roots"].append(tree.get_root(size).hex())
    for leaf in range(1, size + 1, 3):
        said["paths"][f"{leaf} {size}"] = tree.prove_inclusion(leaf, size).serialize()["path"]
    for old in range(1, size, 5):
        verify_consistency(tree.get_root(old), tree.get_root(size), tree.prove_consistency(old, size))
json.dump(said, sys.stdout)
"""


def test_an_independent_implementation_agrees(tmp_path: Path) -> None:
    """pymerkle, installed into an environment of its own, computes the same roots and audit paths."""
    python = tmp_path / "oracle" / "bin" / "python"
    made = subprocess.run([sys.executable, "-m", "venv", tmp_path / "oracle"], capture_output=True, check=False)
    if made.returncode == 0:
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "pymerkle==7.0.0"]
        made = subprocess.run(install, capture_output=True, timeout=120, check=False)
    if made.returncode:
        pytest.skip("pymerkle cannot be installed here")
    said = json.loads(subprocess.run([python, "-c", ORACLE], capture_output=True, check=True).stdout)
    leaves = _many(40)
    for size in range(1, 41):
        tree = merkle.levels(leaves[:size])
        assert merkle.root(tree).hex() == said["roots"][size - 1]
        for leaf in range(1, size + 1, 3):
            path = [leaves[leaf - 1], *merkle.inclusion(tree, leaf - 1)]
            assert sorted(step.hex() for step in path) == sorted(said["paths"][f"{leaf} {size}"])
