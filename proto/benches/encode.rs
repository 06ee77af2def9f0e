//! What it costs to encode an answer: a range of 500 pairs of 1 KiB, as a gRPC message. `make microbench` runs it.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use prost::Message;
use proto::etcdserverpb::{RangeResponse, ResponseHeader};
use proto::mvccpb::KeyValue;

/// Bytes in front of a gRPC message: a flag and its length.
const FRAME: usize = 5;

fn main() {
    divan::main();
}

fn answer(pairs: i64) -> RangeResponse {
    let pair = |number: i64| KeyValue {
        key: format!(
            "/registry/pods/namespace-{:03}/pod-with-a-usual-name-{number:05}",
            number % 100
        )
        .into(),
        create_revision: number + 2,
        mod_revision: number + 10_002,
        version: 2,
        value: vec![7; 1024].into(),
        lease: 0,
    };
    RangeResponse {
        header: Some(ResponseHeader {
            cluster_id: 0xcdf8_181f_fe9a_0712,
            member_id: 0x8e9e_05c5_2164_694d,
            revision: 20_002,
            raft_term: 2,
        }),
        kvs: (0..pairs).map(pair).collect(),
        more: true,
        count: 10_000,
    }
}

fn encode(bencher: Bencher<'_, '_>, answer: &RangeResponse) {
    let length = answer.encoded_len();
    bencher.counter(BytesCount::new(length)).bench(|| {
        let mut buffer = Vec::with_capacity(FRAME + length);
        buffer.extend_from_slice(&[0; FRAME]);
        black_box(answer).encode(&mut buffer).expect("a vector has room");
        buffer
    });
}

#[divan::bench]
fn encode_range_of_500(bencher: Bencher<'_, '_>) {
    encode(bencher, &answer(500));
}

#[divan::bench]
fn encode_get(bencher: Bencher<'_, '_>) {
    encode(bencher, &answer(1));
}
