"""The keys that seal records, and where they lie."""
