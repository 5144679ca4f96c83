"""Fitting a readout to a draft model."""
