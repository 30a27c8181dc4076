"""Judges of architectures, one class a file."""
