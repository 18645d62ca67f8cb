"""What the platform team does: one file for each thing that it administers."""
