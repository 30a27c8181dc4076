"""Predictors of how good architectures are: one class a file, one YAML in ``conf/predictor``."""
