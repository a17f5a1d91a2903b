"""Adapters: a framework's own interface for sessions, a cache or settings, on a store.

Each is imported by its own name, `from store.integrations.flask import StoreSessionInterface` for example, and needs
the extra of that name: `pip install '.[flask]'`.
"""
