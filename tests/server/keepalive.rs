//! Pings, as etcd's gRPC server judges them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::Server;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

#[test]
fn a_client_that_pings_too_often_is_sent_away_with_the_reason() {
    let (server, _directory) = Server::fresh(&[]);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(PREFACE).unwrap();
    stream.write_all(&SETTINGS).unwrap();
    for _ in 0..4 {
        stream.write_all(&PING).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    let text = b"too_many_pings";
    let at = said
        .windows(text.len())
        .position(|window| window == text)
        .expect("no reason was given");
    assert_eq!(
        said[at - 4..at],
        [0, 0, 0, 11],
        "the code is not ENHANCE_YOUR_CALM"
    );
}

#[test]
fn a_client_that_pings_as_often_as_allowed_stays() {
    let (server, _directory) = Server::fresh(&["--grpc-keepalive-min-time", "100ms"]);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(PREFACE).unwrap();
    stream.write_all(&SETTINGS).unwrap();
    // Headers of a request that stays open: POST /etcdserverpb.Watch/Watch, as literals without indexing.
    stream.write_all(&open_stream()).unwrap();
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(150));
        stream.write_all(&PING).unwrap();
    }
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    while pongs(&said) < 10 {
        let length = stream.read(&mut buffer).unwrap();
        assert!(length > 0, "the connection was closed");
        said.extend_from_slice(&buffer[..length]);
    }
}

fn open_stream() -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    for (name, value) in [
        (":path", "/etcdserverpb.Watch/Watch"),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    let mut frame = vec![0, 0, u8::try_from(block.len()).unwrap(), 1, 4, 0, 0, 0, 1];
    frame.append(&mut block);
    frame
}

fn pongs(said: &[u8]) -> usize {
    let mut pong = PING;
    pong[4] = 1;
    said.windows(pong.len()).filter(|window| *window == pong).count()
}
