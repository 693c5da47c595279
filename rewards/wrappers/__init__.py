"""What pays a reward through ``step``."""
