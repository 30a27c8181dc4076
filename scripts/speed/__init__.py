"""What ``scripts/benchmark.py`` measures, by kind."""
