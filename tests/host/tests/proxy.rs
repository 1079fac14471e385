//! The wire that counts round trips.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use pam_host::Proxy;

#[test]
fn a_round_trip_is_a_connection_or_a_reply_in_however_many_pieces() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy = Proxy::to(listener.local_addr().unwrap().port(), Duration::ZERO);
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut question = [0; 2];
        while stream.read_exact(&mut question).is_ok() {
            stream.write_all(b"an").unwrap();
            stream.write_all(b"swer").unwrap();
        }
    });
    assert_eq!(proxy.trips(), 0);
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
    for number in 1..=3 {
        // Two pieces up, two down.
        client.write_all(b"w").unwrap();
        client.write_all(b"?").unwrap();
        let mut answer = [0; 6];
        client.read_exact(&mut answer).unwrap();
        assert_eq!((&answer, proxy.trips()), (b"answer", 1 + number));
    }
    drop(client);
    server.join().unwrap();
}
