//! A picture in another size. Its aspect is the caller's business.

use super::CoderError;
use super::ffmpeg::{Frame, PictureConverter};
use super::video_encoder::check_picture;
use rivero_engine::Picture;

/// Scales bilinearly; keeps its tables as long as the pictures that come have one size.
pub struct Scaler {
    width: u32,
    height: u32,
    converter: PictureConverter,
}

impl Scaler {
    /// Pixels of the pictures that leave; 1 to 16384 either way.
    pub fn new(width: u32, height: u32) -> Result<Self, CoderError> {
        if !(1..=16384).contains(&width) || !(1..=16384).contains(&height) {
            return Err(CoderError::Refused("a size to scale to that is zero or too large"));
        }
        Ok(Scaler { width, height, converter: PictureConverter::default() })
    }

    /// A picture that already has the size is shared, not copied.
    pub fn scale(&mut self, picture: &Picture) -> Result<Picture, CoderError> {
        check_picture(picture)?;
        if (picture.width, picture.height) == (self.width, self.height) {
            return Ok(picture.clone());
        }
        let failed = |source| CoderError::Failed { what: "scaling", source };
        let frame = Frame::around_with_room(picture).map_err(failed)?;
        let scaled = self.converter.make_i420(&frame, self.width, self.height, false).map_err(failed)?;
        scaled.into_picture(picture.at).ok_or(CoderError::Refused("a picture without its planes"))
    }
}
