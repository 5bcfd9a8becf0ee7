"""Write a run's rows, and yield one outcome per row."""
