//! Step 6 of 6: **outcome**. What becomes of the message.
