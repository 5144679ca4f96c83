"""One call of the compressor, step by step: counted, split, scored, selected, rendered."""
