"""The Python half of dj-regress: what runs beside the app in every process of a run."""
