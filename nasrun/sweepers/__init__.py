"""Sweepers: what Hydra's multirun mode can do with a command beside playing its combinations."""
