//! Decoders and encoders.
