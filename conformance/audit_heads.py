"""Checks heads and tiles of an audit chain with `aics-tlog`, which knows nothing of denwaban.

usage: audit_heads.py TILES AUDIT KEYS HEAD...
TILES: the folder of a chain's tiles. AUDIT: the folder of its months. KEYS: what `keys public` prints. HEAD: signed heads, the oldest first.
Exit status 77 without the library.
"""

import itertools
import pathlib
import sys

try:
    import aics_tlog as tlog
except ImportError:
    sys.exit(77)


def entries(audit):
    """The bytes of each entry as they stand in its line."""
    for month in sorted(pathlib.Path(audit).glob("*.jsonl")):
        for line in month.read_bytes().splitlines():
            begin = line.index(b'"entry":') + len(b'"entry":')
            yield line[begin:-1]


def verified(path, keys):
    """A head that one of the keys signed under the head's own origin."""
    note = tlog.parse_note(pathlib.Path(path).read_bytes())
    origin = tlog.parse_checkpoint(note.text).origin
    results = [
        tlog.verify_checkpoint(note, key, expected_origin=origin)
        for key in keys
        if key.name == origin
    ]
    good = [result for result in results if result.ok]
    assert good, f"{path}: {[result.error for result in results]}"
    return good[0].size, good[0].root


def main(tiles, audit, keys, *heads):
    keys = [tlog.parse_vkey(line) for line in pathlib.Path(keys).read_text().split()]
    heads = [verified(head, keys) for head in heads]
    reader = tlog.FileSystemTileReader(tiles)
    newest, root = heads[-1]

    report = tlog.audit_tiles(reader, newest, root, entries=False)
    leaves = list(entries(audit))
    assert len(leaves) >= newest, f"{len(leaves)} entries, a head of {newest}"
    assert tlog.MerkleTree(leaves[:newest]).root() == root, "another root"

    proofs = 0
    for size, root in heads:
        for index in {0, 1, 255, 256, size // 2, size - 2, size - 1} & set(range(size)):
            proof = tlog.tiles.inclusion_proof_from_tiles(reader, index, size, newest)
            assert tlog.verify_leaf_inclusion(leaves[index], index, size, proof, root), index
            assert not tlog.verify_leaf_inclusion(leaves[index] + b" ", index, size, proof, root)
            proofs += 1
    for (old, old_root), (new, new_root) in itertools.combinations(heads, 2):
        proof = tlog.tiles.consistency_proof_from_tiles(reader, old, new, newest)
        assert tlog.verify_consistency(old, new, old_root, new_root, proof), (old, new)
        proofs += 1
    print(f"heads {len(heads)} tiles {report.tiles} entries {newest} proofs {proofs}")


if __name__ == "__main__":
    main(*sys.argv[1:])
