"""Readers that turn published benchmark files into one columnar table."""
