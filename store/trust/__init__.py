"""Keys, seals, and the verdict on a row: whose it is, before a byte of it is decoded.

`keys` finds and makes the keys, `seal` binds a record to its place with one of them.
"""
