"""Trackers: Hydra callbacks that hand a finished job to a tracking tool. Off unless asked for."""
