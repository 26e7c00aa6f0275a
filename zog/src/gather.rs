//! The slices of one turn for one connection, as one write.

use crate::connection::Connection;
use pzog::{ConnId, Outputs, Slice};
use std::io::IoSlice;

/// Parts of one `writev`; more of them take another one.
const PARTS: usize = 16;

/// A block of answers to take any number of them from.
const OK: &[u8] = b"OK\r\n";
const OKS_IN_BLOCK: usize = 4096;
static OKS: [u8; OK.len() * OKS_IN_BLOCK] = {
    let mut block = [0; OK.len() * OKS_IN_BLOCK];
    let mut i = 0;
    while i < block.len() {
        block[i] = OK[i % OK.len()];
        i += 1;
    }
    block
};

/// Sends what `slices` name, which are all for this connection.
pub(crate) fn send(connection: &mut Connection, slices: &[(ConnId, Slice)], outputs: &Outputs, input: &[u8]) {
    let mut parts = [IoSlice::new(&[]); PARTS];
    let mut filled = 0;
    for (_, slice) in slices {
        let (block, mut left) = block(*slice, outputs, input);
        while left > 0 {
            let part = &block[..left.min(block.len())];
            left -= part.len();
            parts[filled] = IoSlice::new(part);
            filled += 1;
            if filled == PARTS {
                connection.send(&mut parts);
                filled = 0;
            }
        }
    }
    if filled > 0 {
        connection.send(&mut parts[..filled]);
    }
}

/// The same bytes in a buffer of their own.
pub(crate) fn copy(slice: Slice, outputs: &Outputs, input: &[u8]) -> Vec<u8> {
    match slice {
        Slice::Oks(n) => OK.repeat(n as usize),
        other => outputs.bytes(other, input).to_vec(),
    }
}

/// Where the bytes of a piece of a record are.
pub(crate) fn bytes<'a>(slice: Slice, outputs: &'a Outputs, input: &'a [u8]) -> &'a [u8] {
    let (bytes, length) = block(slice, outputs, input);
    &bytes[..length]
}

/// Where the bytes of a slice are, and how many they are; a block is repeated as often as needed.
fn block<'a>(slice: Slice, outputs: &'a Outputs, input: &'a [u8]) -> (&'a [u8], usize) {
    match slice {
        Slice::Oks(n) => (&OKS, n as usize * OK.len()),
        other => {
            let bytes = outputs.bytes(other, input);
            (bytes, bytes.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Kind;
    use crate::rt::{self, Async};
    use pzog::Span;
    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::rc::Rc;
    use std::task::{Poll, Waker};
    use std::thread;

    /// Serves it until all is written.
    async fn flushed(connection: Connection) -> Connection {
        let serving = Rc::new(RefCell::new((connection, None::<Waker>)));
        let served = serving.clone();
        rt::serve_by(move |_| {
            let (connection, waker) = &mut *served.borrow_mut();
            if connection.flush() {
                waker.take().expect("somebody waits").wake();
            }
        });
        poll_fn(|cx| {
            let (connection, waker) = &mut *serving.borrow_mut();
            if connection.is_flushed() {
                return Poll::Ready(());
            }
            *waker = Some(cx.waker().clone());
            connection.serve_as(ConnId(0));
            Poll::Pending
        })
        .await;
        rt::serve_by(|_| {});
        Rc::into_inner(serving).expect("nobody serves it any more").into_inner().0
    }

    #[test]
    fn what_blocks_waits_and_the_order_stays() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, address) = listener.accept().unwrap();
        let small = Outputs { small: b"small".to_vec(), ..Outputs::default() };
        let input = vec![b'i'; 9 << 20]; // more than the system's buffers hold
        let conn = ConnId(0);
        let slices = [
            (conn, Slice::Small(Span { start: 0, end: 5 })),
            (conn, Slice::Oks(10_000)),
            (conn, Slice::Input(Span { start: 0, end: input.len() as u32 })),
            (conn, Slice::Oks(1)),
        ];
        let expected: Vec<u8> = slices.iter().flat_map(|(_, slice)| copy(*slice, &small, &input)).collect();

        rt::run(async move {
            let mut connection = Connection::new(Async::new(near).unwrap(), Kind::Client, address);
            send(&mut connection, &slices, &small, &input);
            assert!(!connection.is_flushed());
            send(&mut connection, &slices[..1], &small, &input);
            let reader = thread::spawn(move || {
                let mut read = Vec::new();
                far.read_to_end(&mut read).unwrap();
                read
            });
            let mut connection = flushed(connection).await;
            connection.shut();
            assert_eq!(reader.join().unwrap(), [&expected[..], b"small"].concat());
        });
    }
}
