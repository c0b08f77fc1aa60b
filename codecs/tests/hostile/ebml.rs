//! WebM files byte by byte (RFC 8794, RFC 9559), for claims that no muxer makes.

/// An element: its identifier as it stands in the file, and what is in it.
pub fn element(id: u32, body: &[u8]) -> Vec<u8> {
    let id = id.to_be_bytes();
    let id = &id[id.iter().position(|&byte| byte != 0).unwrap()..];
    // A length of eight bytes.
    let length = (body.len() as u64 | 1 << 56).to_be_bytes();
    [id, &length, body].concat()
}

pub fn number(id: u32, value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

pub fn float(id: u32, value: f64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

/// What a file says of itself, with what is usual where nothing else is said.
#[derive(Clone)]
pub struct Claims {
    /// Nanoseconds of a tick.
    pub scale: u64,
    /// Ticks.
    pub duration: f64,
    pub tracks: u64,
    pub first_number: u64,
    pub width: u64,
    pub height: u64,
    /// Ticks at which a cluster begins, and the distance of blocks in it.
    pub cluster: u64,
    pub step: i16,
    /// Ticks that a block lasts.
    pub block: Option<u64>,
    pub codec: &'static str,
}

impl Default for Claims {
    fn default() -> Self {
        Claims {
            scale: 1_000_000,
            duration: 400.0,
            tracks: 1,
            first_number: 1,
            width: 96,
            height: 64,
            cluster: 0,
            step: 40,
            block: None,
            codec: "V_VP8",
        }
    }
}

impl Claims {
    /// A file of ten blocks with this frame in each.
    pub fn file(&self, frame: &[u8]) -> Vec<u8> {
        let kind = [element(0x4282, b"webm"), number(0x4287, 2), number(0x4285, 2)].concat();
        let info = [number(0x2ad7b1, self.scale), float(0x4489, self.duration)].concat();
        let mut tracks = Vec::new();
        for track in 0..self.tracks {
            let number_of = self.first_number + track;
            let size = [number(0xb0, self.width), number(0xba, self.height)].concat();
            let entry = [number(0xd7, number_of), number(0x73c5, number_of), number(0x83, 1)].concat();
            let entry = [entry, element(0x86, self.codec.as_bytes()), element(0xe0, &size)].concat();
            tracks.extend(element(0xae, &entry));
        }
        let mut blocks = number(0xe7, self.cluster);
        for block in 0..10 {
            let head = [&[0x81][..], &(self.step.saturating_mul(block)).to_be_bytes()].concat();
            blocks.extend(match self.block {
                None => element(0xa3, &[&head[..], &[0x80], frame].concat()),
                Some(ticks) => {
                    let inside = element(0xa1, &[&head[..], &[0], frame].concat());
                    element(0xa0, &[inside, number(0x9b, ticks)].concat())
                }
            });
        }
        let body = [element(0x1549a966, &info), element(0x1654ae6b, &tracks), element(0x1f43b675, &blocks)].concat();
        [element(0x1a45dfa3, &kind), element(0x18538067, &body)].concat()
    }
}
