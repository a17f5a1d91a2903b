"""What Django stores: entries of its caches, and sessions. Nothing here imports Django."""
