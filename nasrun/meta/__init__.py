"""Pools of tasks for meta-training, one class a file."""
