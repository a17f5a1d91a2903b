"""Which classes may load, under which name, and what stands in for those that are gone."""
