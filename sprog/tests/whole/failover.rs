//! A session that goes from host to host: whatever becomes of one, each message keeps number, time and text.

use crate::fake::{
    Conversation, Fake, NOBODY, Ring, Script, assert_exit, read_until, signal, stderr, stdout,
};
use crate::messages;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn what_a_lost_host_did_not_answer_goes_to_another_one_in_the_same_session() {
    let a = Fake::scripted(vec![Box::new(|c| {
        c.greet();
        c.hear();
    })]);
    let b = Fake::polite();
    let output = Ring::of(&[("A", a.port), ("B", b.port)]).run("-r -n 2 -i 0 --timeout 200ms");
    assert_exit(&output, 0);
    let (hello, message) = (&a.heard()[0], &a.heard()[1]);
    let heard = b.heard();
    // Its own session is served at the same time, on another connection.
    assert!(heard.contains(hello) && heard.contains(message), "{heard:?}");
    assert!(stderr(&output).contains("A (127.0.0.1"), "{}", stderr(&output));
    assert!(stderr(&output).contains("is skipped"), "{}", stderr(&output));
}

/// A daemon that closes every connection until the flag is up.
fn down_until(is_well: &Arc<AtomicBool>) -> Fake {
    let is_well = Arc::clone(is_well);
    Fake::always(move |c| {
        if is_well.load(Ordering::Acquire) {
            c.be_polite();
        }
    })
}

#[test]
fn another_host_goes_on_where_the_lost_one_stopped_answering() {
    let dies: Script = Box::new(|c| {
        c.greet();
        (0..4).for_each(|_| drop(c.hear()));
        c.say("OK");
        c.say("PENDING 1/2");
    });
    let (a, b) = (Fake::scripted(vec![dies]), Fake::polite());
    let ring = Ring::of(&[("A", a.port), ("B", b.port)]);
    let output = ring.run("-s A --failover -n 4 -i 0 --log sent.log --ack all");
    assert_exit(&output, 0);
    let (heard, repeated) = (a.heard(), b.heard());
    let token = heard[0].split(' ').nth(1).unwrap();
    let at = repeated.iter().position(|line| *line == format!("HELLO {token} next=3 ack=all")).unwrap();
    assert_eq!(repeated[at + 1..at + 3], heard[3..5]);
    assert_eq!(messages(&b).len(), 2);
    assert!(stdout(&output).contains("3 OK, 1 PENDING"), "{}", stdout(&output));
    let log = std::fs::read_to_string(ring.path("sent.log")).unwrap();
    assert!(log.contains(&format!("ANSWERED {token} 3 B OK")), "{log}");
}

#[test]
fn a_host_that_takes_nothing_is_left_for_another_one_at_once() {
    let full = Fake::always(|c| {
        c.greet();
        c.hear();
        c.say("ERR 300 disk full");
    });
    let b = Fake::polite();
    let ring = Ring::of(&[("A", full.port), ("B", b.port)]);
    let output = ring.run("-s A --failover -n 1 --timeout 1h");
    assert_exit(&output, 0);
    assert_eq!(full.heard(), b.heard());
    assert!(stderr(&output).contains("ERR 300 disk full"), "{}", stderr(&output));
}

#[test]
fn a_host_that_does_not_listen_is_left_for_another_one_at_once() {
    let b = Fake::polite();
    let ring = Ring::of(&[("A", NOBODY), ("B", b.port)]);
    assert_exit(&ring.run("-r -n 10 -i 0 --timeout 1h"), 0);
    assert_eq!(messages(&b).len(), 10);
}

#[test]
fn without_failover_no_other_host_hears_of_it() {
    let b = Fake::polite();
    let ring = Ring::of(&[("A", NOBODY), ("B", b.port)]);
    assert_exit(&ring.run("-s A -n 1 --timeout 100ms"), 69);
    assert_eq!(b.heard(), [""; 0]);
    assert_exit(&ring.run("-s A --failover -n 3 -i 0"), 0);
    assert_eq!(messages(&b).len(), 3);
}

#[test]
fn the_host_that_is_wanted_gets_the_messages_again_when_it_is_back() {
    let is_well = Arc::new(AtomicBool::new(false));
    let (a, b) = (down_until(&is_well), Fake::polite());
    let ring = Ring::of(&[("A", a.port), ("B", b.port)]);
    let child = ring.sprog("-s A --failover -i 2ms").spawn().unwrap();
    b.wait_for(10, "AT ");
    is_well.store(true, Ordering::Release);
    a.wait_for(10, "AT ");
    signal(&child, "INT");
    assert_exit(&child.wait_with_output().unwrap(), 0);
}

#[test]
fn when_all_are_down_the_first_that_is_back_takes_what_is_unanswered() {
    for back in [0, 1] {
        let is_well = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let fakes = is_well.each_ref().map(down_until);
        let ring = Ring::of(&[("A", fakes[0].port), ("B", fakes[1].port)]);
        let mut child = ring.sprog("-s A --failover -n 1 --timeout 20s").spawn().unwrap();
        read_until(child.stderr.as_mut().unwrap(), "A (127.0.0.1");
        is_well[back].store(true, Ordering::Release);
        assert_exit(&child.wait_with_output().unwrap(), 0);
        assert_eq!((messages(&fakes[back]).len(), messages(&fakes[1 - back]).len()), (1, 0));
    }
}

#[test]
fn a_message_that_no_host_takes_is_lost_with_the_reasons() {
    let dies = Fake::always(|c| {
        c.greet();
        c.hear();
    });
    let ring = Ring::of(&[("A", dies.port), ("B", NOBODY)]);
    let output = ring.run("-s A --failover -n 1 --timeout 200ms");
    assert_exit(&output, 1);
    let told = stderr(&output);
    assert!(told.contains("A: LOST it closed the connection") && told.contains("at last A (127"), "{told}");
    let entries = messages(&dies);
    assert!(entries.len() > 1 && entries.iter().all(|entry| *entry == entries[0]), "{entries:?}");
}

#[test]
fn after_a_signal_what_is_unanswered_still_goes_to_another_host() {
    let is_well = Arc::new(AtomicBool::new(false));
    let dies = Fake::always(|c| {
        c.greet();
        c.hear();
    });
    let b = down_until(&is_well);
    let ring = Ring::of(&[("A", dies.port), ("B", b.port)]);
    let mut child = ring.sprog("-s A --failover -i 1h --timeout 20s").spawn().unwrap();
    read_until(child.stderr.as_mut().unwrap(), "is skipped");
    signal(&child, "INT");
    is_well.store(true, Ordering::Release);
    assert_exit(&child.wait_with_output().unwrap(), 0);
    assert_eq!(messages(&b), messages(&dies)[..1]);
}

#[test]
fn a_session_that_another_host_refuses_is_taken_to_the_next() {
    let dies = Fake::scripted(vec![Box::new(|c: &mut Conversation| {
        c.greet();
        c.hear();
    })]);
    let refuses = Fake::always(|c| {
        c.hear();
        c.say("ERR 409 this session is another one's");
    });
    let c = Fake::polite();
    let ring = Ring::of(&[("A", dies.port), ("B", refuses.port), ("C", c.port)]);
    assert_exit(&ring.run("-s A --failover -n 1 --timeout 1h"), 0);
    assert_eq!(messages(&c), messages(&dies));
}
