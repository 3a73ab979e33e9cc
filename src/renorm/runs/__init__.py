"""A run's settings: its configs, its checkpoints, its Trainer, its loggers."""
