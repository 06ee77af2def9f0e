use super::*;

fn part(byte: u8) -> Bytes {
    Bytes::from(vec![byte; 3])
}

#[tokio::test]
async fn a_finished_image_is_complete() {
    let (writer, image) = Image::channel();
    let written = async move {
        for byte in 0..20 {
            assert!(writer.send(part(byte)).await);
        }
        writer.finish().await;
    };
    let ((), read) = tokio::join!(written, image.collect());
    assert_eq!(read, Ok((0..20).map(part).collect()));
}

#[tokio::test]
async fn an_image_that_was_not_finished_is_never_taken_for_complete() {
    let (writer, mut image) = Image::channel();
    assert!(writer.send(part(1)).await);
    drop(writer);
    assert_eq!(image.next().await, Ok(Some(part(1))));
    assert!(matches!(image.next().await, Err(PeerError::Lost(_))));
}

#[tokio::test]
async fn a_reader_hears_why_an_image_ends_early() {
    let (writer, image) = Image::channel();
    let reason = PeerError::NotReady("stopping".into());
    writer.fail(reason.clone()).await;
    assert_eq!(image.collect().await, Err(reason));
}

#[tokio::test]
async fn a_writer_notices_that_nobody_reads() {
    let (writer, image) = Image::channel();
    drop(image);
    writer.closed().await;
    assert!(!writer.send(part(1)).await);
}
