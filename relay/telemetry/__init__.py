"""What the process says about itself: logs and metrics. Both are called by the edges only, never by the core."""
