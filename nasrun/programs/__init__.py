"""Learning algorithms as programs: instructions, programs as texts, and their interpreter."""
