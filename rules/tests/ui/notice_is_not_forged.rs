//! A notice is made from what was played or from a waiver, never from its record.

fn forge(record: rules::NoticeRecord) -> rules::Notice {
    rules::Notice { record }
}

fn main() {}
