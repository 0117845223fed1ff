//! Snapshots that travel between directories, through a place in memory.
