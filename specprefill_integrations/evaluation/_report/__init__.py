"""Reports on A/B measurements, as HTML and Markdown with pictures."""
