//! One invocation, on one screen.
