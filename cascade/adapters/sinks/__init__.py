"""Where the events of runs are kept or shown by other programs: OpenTelemetry, Prometheus, a journal file."""
