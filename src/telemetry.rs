//! Logs: JSON lines in Lambda, readable on a terminal.
