"""Scoring: the only folder that touches `torch` and `transformers`."""
