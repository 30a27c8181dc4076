"""Devices and the reward that weighs accuracy against latency, one class a file."""
