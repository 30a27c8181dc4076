"""What a run leaves on disk: CSV rows, summaries, the best architecture, provenance, and resume."""
