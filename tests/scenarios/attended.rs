//! Two calls become one: who is asked for what so that those who stay hear each other. The world is whole.

use tests::{
    City, Plan,
    line::Extra,
    plan::{NUMBER, OTHER_NUMBER},
    voice::speaker,
};

use crate::transfer::refer_to_dialog;

pub(crate) const PCMU: u8 = 0;
pub(crate) const PCMA: u8 = 8;

/// A citizen talks with a department, which consults an expert.
pub(crate) struct Consulted {
    pub(crate) city: City,
    pub(crate) citizen: usize,
    pub(crate) department: usize,
    pub(crate) consulting: usize,
    pub(crate) expert: usize,
}

/// What each of the four names in its description.
pub(crate) struct Named<'a> {
    pub(crate) citizen: &'a [u8],
    pub(crate) department: &'a [u8],
    pub(crate) consultation: &'a [u8],
}

pub(crate) fn consult(named: &Named<'_>) -> Consulted {
    consult_in(Plan::announce(), named)
}

pub(crate) fn consult_in(plan: Plan, named: &Named<'_>) -> Consulted {
    let mut city = City::new(plan);
    let citizen = city.line(city.carrier.address, "0790000001");
    let department = city.line(city.pbx.address, "100");
    call(
        &mut city,
        [citizen, department],
        NUMBER,
        [named.citizen, named.department],
    );
    city.run_until_line(department, "ACK", 1);
    city.line_speaks(citizen);
    let consulting = city.line(city.pbx.address, "300");
    let expert = city.line(city.pbx.address, "100");
    let both = [named.consultation; 2];
    call(&mut city, [consulting, expert], OTHER_NUMBER, both);
    city.run_until_line(consulting, "200 INVITE (sdp)", 1);
    city.run_ms(100);
    city.line_speaks(expert);
    Consulted {
        city,
        citizen,
        department,
        consulting,
        expert,
    }
}

fn call(city: &mut City, [caller, called]: [usize; 2], number: &str, named: [&[u8]; 2]) {
    let [offer, answer] = [caller, called]
        .into_iter()
        .zip(named)
        .map(|(line, named)| {
            city.lines[line].version += 1;
            Extra::body(city.lines[line].describe_again("sendrecv", named))
        })
        .collect::<Vec<_>>()
        .try_into()
        .expect("two");
    city.line_calls(caller, number, &offer);
    city.run_until_line(called, "INVITE (sdp)", 1);
    city.line_answers(called, "INVITE", 200, &answer);
}

/// It holds whom it talks with.
pub(crate) fn hold(city: &mut City, holder: usize, held: usize, direction: &str, answered: &str) {
    let (asked, told) = (
        city.lines[held].count("INVITE (sdp)"),
        city.lines[holder].count("200 INVITE (sdp)"),
    );
    let body = city.lines[holder].describe(direction);
    city.line_says(holder, "INVITE", &Extra::body(body));
    city.run_until_line(held, "INVITE (sdp)", asked + 1);
    let body = city.lines[held].describe(answered);
    city.line_answers(held, "INVITE", 200, &Extra::body(body));
    city.run_until_line(holder, "200 INVITE (sdp)", told + 1);
    city.run_ms(50);
}

/// It is asked for these, and agrees.
pub(crate) fn agrees(city: &mut City, line: usize, asked: usize, direction: &str, named: &[u8]) {
    city.run_until_line(line, "INVITE (sdp)", asked);
    let offer = city.lines[line].last("INVITE").expect("an offer").clone();
    assert_eq!(offer.payload_types().first(), named.first());
    assert!(
        offer.body.contains(&format!("a={direction}")),
        "{}",
        offer.body
    );
    city.lines[line].version += 1;
    let body = city.lines[line].describe_again(direction, named);
    city.line_answers(line, "INVITE", 200, &Extra::body(body));
}

pub(crate) fn hear_each_other(city: &mut City, one: usize, other: usize) {
    city.run_ms(100);
    city.line_speaks(one);
    city.line_speaks(other);
    hear_each_other_still(city, one, other);
}

/// They go on speaking as they did.
pub(crate) fn hear_each_other_still(city: &mut City, one: usize, other: usize) {
    let heard = |city: &City| {
        [(one, other), (other, one)].map(|(hears, speaks)| {
            let port = city.lines[speaks].voice.local.port();
            let heard = city.lines[hears].voice.heard.iter();
            let is_theirs = |sound: &[u8]| speaker(sound) == Some(port);
            heard.filter(|heard| is_theirs(&heard.payload)).count()
        })
    };
    let before = heard(city);
    city.run_ms(500);
    let after = heard(city);
    let is_heard = |(before, after)| after > before + 20;
    assert!(
        before.into_iter().zip(after).all(is_heard),
        "{before:?} {after:?}"
    );
}

#[test]
fn the_caller_is_asked_for_the_codec_that_the_other_speaks() {
    for is_held in [false, true] {
        let Consulted {
            mut city,
            citizen,
            department,
            consulting,
            expert,
        } = consult(&Named {
            citizen: &[PCMA, PCMU, 101],
            department: &[PCMA, 101],
            consultation: &[PCMU, 101],
        });
        let mut asked = 1;
        if is_held {
            // Its answer names but the codec in use; what it offered first is not forgotten.
            city.line_says(
                department,
                "INVITE",
                &Extra::body(
                    city.lines[department]
                        .describe_again("sendonly", &[PCMA, 101])
                        .replace("phone 1 1", "phone 1 2"),
                ),
            );
            city.run_until_line(citizen, "INVITE (sdp)", 1);
            city.lines[citizen].version += 1;
            let body = city.lines[citizen].describe_again("recvonly", &[PCMA, 101]);
            city.line_answers(citizen, "INVITE", 200, &Extra::body(body));
            city.run_ms(50);
            asked = 2;
        }
        let replaces = city.lines[consulting].replaces();
        refer_to_dialog(&mut city, department, &replaces);
        agrees(&mut city, citizen, asked, "sendrecv", &[PCMU, 101]);
        hear_each_other(&mut city, citizen, expert);
        assert_eq!(city.lines[expert].count("INVITE (sdp)"), 1, "{is_held}");
        city.line_says(citizen, "BYE", &Extra::default());
        city.finish();
        assert_eq!(city.recorder.closed[0].earlier.len(), 1);
    }
}

#[test]
fn those_who_have_no_codec_in_common_are_not_joined_and_nothing_changes() {
    let Consulted {
        mut city,
        citizen,
        department,
        consulting,
        expert,
    } = consult(&Named {
        citizen: &[PCMU, 101],
        department: &[PCMU, 101],
        consultation: &[PCMA, 101],
    });
    let replaces = city.lines[consulting].replaces();
    refer_to_dialog(&mut city, department, &replaces);
    city.run_until_line(department, "488 REFER", 1);
    hear_each_other(&mut city, citizen, department);
    for line in [citizen, expert] {
        city.line_says(line, "BYE", &Extra::default());
    }
    city.finish();
}

#[test]
fn whoever_was_on_hold_in_either_call_is_on_hold_no_more() {
    for (caller, consulted) in [
        ("sendonly", "sendrecv"),
        ("sendrecv", "inactive"),
        ("inactive", "sendonly"),
    ] {
        let Consulted {
            mut city,
            citizen,
            department,
            consulting,
            expert,
        } = consult(&Named {
            citizen: &[PCMU, 101],
            department: &[PCMU, 101],
            consultation: &[PCMU, 101],
        });
        let answers = |direction| {
            if direction == "sendonly" {
                "recvonly"
            } else {
                direction
            }
        };
        for (direction, holder, held) in [
            (caller, department, citizen),
            (consulted, consulting, expert),
        ] {
            if direction != "sendrecv" {
                hold(&mut city, holder, held, direction, answers(direction));
            }
        }
        let asked = [citizen, expert].map(|line| city.lines[line].count("INVITE (sdp)"));
        let replaces = city.lines[consulting].replaces();
        refer_to_dialog(&mut city, department, &replaces);
        for (line, direction, asked) in [(citizen, caller, asked[0]), (expert, consulted, asked[1])]
        {
            if direction != "sendrecv" {
                agrees(&mut city, line, asked + 1, "sendrecv", &[PCMU, 101]);
            }
        }
        hear_each_other(&mut city, citizen, expert);
        city.line_says(citizen, "BYE", &Extra::default());
        city.finish();
    }
}
