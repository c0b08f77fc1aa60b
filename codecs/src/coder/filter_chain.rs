//! One of FFmpeg's chains of filters, from pictures to pictures.

use super::CoderError;
use super::ffmpeg::{FilterGraph, Frame, PictureConverter, Received};
use super::video_encoder::check_picture;
use rivero_engine::{MediaTime, Picture};

/// Pictures that a single picture may turn into: a filter that multiplies frames is stopped there.
const MOST_AT_ONCE: usize = 64;

/// The text must come from us, never from a client: filters can read files.
pub struct FilterChain {
    text: String,
    graph: Option<(u32, u32, FilterGraph)>,
    converter: PictureConverter,
}

impl FilterChain {
    /// FFmpeg's description of a chain with one input and one output, such as `hflip` or `scale=320:240,hue=s=0`.
    pub fn new(text: &str) -> Result<Self, CoderError> {
        let chain = FilterChain { text: text.to_owned(), graph: None, converter: PictureConverter::default() };
        // A chain is only known to be good once it is built; its first picture may have another size.
        FilterGraph::new(&chain.text, 64, 64)
            .map_err(|source| CoderError::Failed { what: "building the filter", source })?;
        Ok(chain)
    }

    /// Appends what leaves the chain; pictures keep their times unless a filter changes them. Another size begins the chain anew.
    pub fn apply(&mut self, picture: &Picture, out: &mut Vec<Picture>) -> Result<(), CoderError> {
        check_picture(picture)?;
        let failed = |source| CoderError::Failed { what: "filtering", source };
        let (width, height) = (picture.width, picture.height);
        if !matches!(&self.graph, Some((w, h, _)) if (*w, *h) == (width, height)) {
            self.graph = None;
            self.graph = Some((width, height, FilterGraph::new(&self.text, width, height).map_err(failed)?));
        }
        let graph = &mut self.graph.as_mut().expect("just made").2;
        let mut frame = Frame::around_with_room(picture).map_err(failed)?;
        frame.set_pts(i64::try_from(picture.at.as_nanos()).unwrap_or(i64::MAX));
        graph.send(&frame).map_err(failed)?;
        for _ in 0..MOST_AT_ONCE {
            let Received::One(mut frame) = graph.receive().map_err(failed)? else { break };
            let at = frame.pts().and_then(|pts| u64::try_from(pts).ok()).map_or(picture.at, MediaTime::from_nanos);
            if !frame.is_i420() {
                let (width, height) = frame.size();
                frame = self.converter.make_i420(&frame, width, height, false).map_err(failed)?;
            }
            out.extend(frame.into_picture(at));
        }
        Ok(())
    }
}
