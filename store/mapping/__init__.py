"""`Store`: the mapping, and its views."""
