"""What a run leaves on disk: CSV rows, summaries, the best architecture, provenance, and resume.

Equal runs on one kind of processor leave the same bytes in every CSV file, ``best.json`` and what
meta-training keeps, however often they were interrupted. What differs: ``status.json`` (a process
id, seconds), logs, the command in ``provenance.json``, ``timing.json`` of what was meta-trained,
and wherever the clock is this machine's: the seconds of trainings and of trials that a budget in
wall time ended.
"""
