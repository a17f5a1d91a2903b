"""Converts values to sealed rows and back: the only package that uses both codecs and trust."""
