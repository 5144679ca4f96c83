"""Output of programs: lines with what heads them, logs, and answers of HTTP servers."""
