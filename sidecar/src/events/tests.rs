use super::*;
use crate::decide::Moment;

const RUN: i64 = 0x1f;

fn hub(max_clients: u32, queue: u32) -> Hub {
    let settings = Settings {
        max_clients,
        queue,
        ..Settings::default()
    };
    Hub::new(settings, RUN)
}

fn when() -> When {
    When {
        now: Moment::at(std::time::Duration::ZERO),
        wall_ms: 7,
    }
}

fn id(number: u64) -> EventId {
    EventId { run: RUN, number }
}

fn ids(missed: &VecDeque<Bytes>) -> Vec<String> {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let line = |text: String| text.lines().next().unwrap().to_owned();
    missed.iter().map(|bytes| line(text(bytes))).collect()
}

fn happen(hub: &Hub, times: usize) {
    for _ in 0..times {
        hub.readiness("flink", Some("gone"), when());
    }
}

#[test]
fn an_event_is_one_frame_with_id_name_and_a_line_of_data() {
    let hub = hub(1, 4);
    let mut listening = hub.listen(None).unwrap();
    hub.readiness("flink", Some("line\nbreak"), when());
    let frame = listening.coming.try_recv().unwrap();
    assert_eq!(
        frame,
        "id: 1f-1\nevent: readiness\ndata: {\"time_ms\":7,\"part\":\"flink\",\"ready\":false,\
         \"problem\":\"line\\nbreak\"}\n\n"
    );
}

#[test]
fn a_listener_that_does_not_keep_up_is_let_go_and_the_others_are_not() {
    let hub = hub(2, 2);
    let mut slow = hub.listen(None).unwrap();
    let mut quick = hub.listen(None).unwrap();
    for _ in 0..3 {
        happen(&hub, 1);
        assert!(quick.coming.try_recv().is_ok());
    }
    assert_eq!(hub.tally.dropped.get(), 1);
    assert!(slow.coming.try_recv().is_ok() && slow.coming.try_recv().is_ok());
    assert_eq!(
        slow.coming.try_recv(),
        Err(mpsc::error::TryRecvError::Disconnected)
    );
}

#[test]
fn places_are_bounded_and_given_back() {
    let hub = hub(1, 4);
    let first = hub.listen(None).unwrap();
    assert_eq!(hub.listen(None).err(), Some(Refused::Full));
    drop(first);
    assert!(!hub.heard());
    assert!(hub.listen(None).is_ok());
    assert_eq!(hub.tally.refused.get(), 1);
}

#[test]
fn who_comes_back_is_told_what_was_missed() {
    let hub = hub(4, 4);
    happen(&hub, 5);
    let missed = |seen| ids(&hub.listen(Some(seen)).unwrap().missed);
    assert_eq!(missed(id(3)), ["id: 1f-4", "id: 1f-5"]);
    assert!(missed(id(5)).is_empty());
    assert!(hub.listen(None).unwrap().missed.is_empty());
}

#[test]
fn who_was_away_for_too_long_or_comes_from_another_run_is_told_of_the_gap() {
    let hub = hub(4, 4);
    happen(&hub, REMEMBERED + 3);
    let missed = |seen| ids(&hub.listen(Some(seen)).unwrap().missed);
    let long = missed(id(2));
    assert_eq!(
        (long.len(), long[0].as_str()),
        (REMEMBERED + 1, "event: gap")
    );
    assert_eq!(long[1], "id: 1f-4");
    assert_eq!(missed(id(3)).len(), REMEMBERED);
    for stranger in [EventId { run: 1, number: 2 }, id(9_999)] {
        assert_eq!(missed(stranger)[0], "event: gap");
    }
}

#[test]
fn a_lane_is_news_when_it_is_shut_or_opened() {
    let hub = hub(1, 16);
    let mut listening = hub.listen(None).unwrap();
    let open = |credits| CloudLane::Open { credits };
    let shut = |reason: &str| CloudLane::Closed {
        reason: reason.into(),
    };
    for lane in [open(8), open(4), shut("reset"), shut("no route"), open(1)] {
        hub.lane(&lane, when());
    }
    hub.close();
    let mut told = Vec::new();
    while let Ok(frame) = listening.coming.try_recv() {
        told.push(String::from_utf8(frame.to_vec()).unwrap());
    }
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("\"open\":false,\"reason\":\"reset\""));
    assert!(told[1].contains("\"open\":true,\"reason\":null"));
}

#[test]
fn a_closed_hub_takes_nobody_in() {
    let hub = hub(1, 4);
    hub.close();
    assert_eq!(hub.listen(None).err(), Some(Refused::Closed));
    assert!(!hub.heard());
}

#[test]
fn an_id_reads_back_and_nonsense_does_not() {
    assert_eq!(id(12).to_string().parse(), Ok(id(12)));
    for nonsense in ["", "1f", "-", "1f-", "zz-1", "1f--1"] {
        assert!(nonsense.parse::<EventId>().is_err(), "{nonsense}");
    }
}
