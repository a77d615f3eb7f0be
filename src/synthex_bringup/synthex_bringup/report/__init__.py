"""From a session's bag to ``session.json`` and ``report.html``."""
