"""Private vendor headers, rebuilt: each block is read by a closed reader, and written anew from what it knows.

One module a vendor's form; each gives grammars as `curate.deid.grammar` has them: (argument, vr, raw) to the clean raw
value, or None where the block is not of its form. Rebuilding a rebuilt block changes nothing, so that the verifier
needs no knowledge of its own. What is known stands in `data/vendor.json` (private elements) and
`data/vendor_fields.json` (the fields inside blocks), each with its grammar.
"""
