"""Other people's compressors, measured beside ours. An extra: nothing else here imports them."""
