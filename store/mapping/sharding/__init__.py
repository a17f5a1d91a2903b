"""One logical namespace over several namespaces, its shards: on a cluster each is in a slot of its own."""
