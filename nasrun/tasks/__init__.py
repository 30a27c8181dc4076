"""Datasets. Tasks for tables are the YAML files of ``conf/task`` alone (``spec.Task``)."""
