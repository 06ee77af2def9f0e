//! How messages become octets and come back: as tonic does it, in buffers of the size they need.
//!
//! tonic's own codec gives each call two buffers of 8 KiB and doubles the answer's as it grows, which copies a long
//! list three times and leaves up to as much unused. Here the answer's length is known before it is written.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// Octets made ready for a request: most objects of Kubernetes fit, and a larger one grows the buffer once.
const REQUEST_BUFFER: usize = 2 << 10;
/// Octets made ready for an answer before its length is known: those that only confirm need no more.
const ANSWER_BUFFER: usize = 128;
/// Messages of a stream are joined until they are this long; tonic's own figure.
const YIELD_THRESHOLD: usize = 32 << 10;

/// The codec of all our services: writes `T`, reads `U`.
#[derive(Clone, Debug)]
pub struct SizedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for SizedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for SizedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = SizedEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        SizedEncoder(ProstEncoder::new(BufferSettings::new(
            ANSWER_BUFFER,
            YIELD_THRESHOLD,
        )))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::new(REQUEST_BUFFER, YIELD_THRESHOLD))
    }
}

/// Writes a message into a buffer that it fits into.
#[derive(Debug)]
pub struct SizedEncoder<T>(ProstEncoder<T>);

impl<T: Message> Encoder for SizedEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.encoded_len());
        self.0.encode(message, buffer)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}
