"""Scripts that show known faults; each prints OK or FAULT. Run them with ``make cases``."""
