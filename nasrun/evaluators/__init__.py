"""Evaluators of architectures, one class a file."""
