"""Keys, seals, and the verdict on the owner of a row before it is decoded.

`keys` finds and makes the keys; `seal` uses one to bind a record to its place.
"""
