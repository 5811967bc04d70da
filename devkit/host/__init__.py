"""A small pure-Python host with the TEN API, used where the real runtime is not importable."""
