"""Measuring: what scoring costs, and later what compression gains and loses."""
