"""Recordings and live audio through a graph with our extension: what the command line and the pages share."""
