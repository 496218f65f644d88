"""helix beside its peers, in one run: each library in a process of its own, sampled in turn, compared as ratios.

    python -m asv_benchmarks.peers run --libs helix,torch,numpy --only '^A|^B' --out peers.json
    python -m asv_benchmarks.peers table peers.json
    python -m asv_benchmarks.peers imports

Workload names keep their meaning for good, so that figures of different days can be compared.
"""
