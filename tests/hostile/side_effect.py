"""A module that does harm when it is imported."""

import os

with open(os.environ["HOSTILE_MARKER"], "w"):
    pass


class Innocent:
    pass
