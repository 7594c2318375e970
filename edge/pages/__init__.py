"""Pages and plots that the reports share."""
