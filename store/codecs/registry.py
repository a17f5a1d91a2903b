"""The codecs by name. A built-in codec is imported on first use."""

from __future__ import annotations

from store.system.registry import Registry

codecs = Registry("codec")
"""Codec name → `Codec`."""
codecs.register("pickle", "store.codecs.pickle.codec:codec")
codecs.register("json", "store.codecs.json:codec")
codecs.register("msgpack", "store.codecs.msgpack:codec", install="msgpack")
codecs.register("numpy", "store.codecs.numpy.codec:codec", install="numpy")
codecs.register("cloudpickle", "store.codecs.cloudpickle:codec", install="cloudpickle")
codecs.register("dill", "store.codecs.dill:codec", install="dill")
codecs.register("joblib", "store.codecs.joblib:codec", install="joblib")
codecs.register("protobuf", "store.codecs.protobuf.codec:codec", install="protobuf")
codecs.register("avro", "store.codecs.avro.codec:codec", install="fastavro")
codecs.register("toml", "store.codecs.toml:codec", install="tomli-w")
codecs.register("yaml", "store.codecs.yaml.codec:codec", install="pyyaml")
