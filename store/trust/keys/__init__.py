"""The keys that seal records, and where they are stored."""
