"""nasrun: neural architecture search experiments, driven by Hydra configs."""

__version__ = "0.1.0"
