//! Who calls the pipeline.
