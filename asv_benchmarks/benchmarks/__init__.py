"""The asv suite: helix's history over commits. The comparison with peers is asv_benchmarks/peers."""
