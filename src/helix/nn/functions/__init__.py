"""What helix.nn.functional has beyond the records: torch's further keywords, and functions made of ops."""
