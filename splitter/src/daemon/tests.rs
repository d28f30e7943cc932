//! Tests of the core on maps in memory.
