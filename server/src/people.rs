//! The staff file and the people in it, for whoever must know who asks.

use std::{fs, path::Path};

use rules::{Action, Actor, Refusal, Role, Staff, StaffId, StaffMember, may};
use serde::Deserialize;

use crate::duty::{Answer, Message};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StaffFile {
    #[serde(default)]
    staff: Vec<Entry>,
}

/// A person as the file writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: StaffId,
    name: String,
    role: Role,
    unit: String,
    designated_on: Option<toml::value::Datetime>,
    trained_on: Option<toml::value::Datetime>,
}

/// Why nobody could be found.
#[derive(Debug)]
pub(crate) enum Unknown {
    /// The file cannot be used.
    File(Message),
    /// It does not list the person.
    Person(Message),
}

impl Unknown {
    /// The answer to whoever asked.
    pub(crate) fn into_answer<T>(self) -> Answer<T> {
        match self {
            Unknown::File(message) => Answer::Usage(message),
            Unknown::Person(message) => Answer::Refused(message),
        }
    }
}

/// Reads the staff file. It is small and read at each request, so that a withdrawn designation counts at once (K-11).
///
/// # Errors
/// It is missing or not in its form; the message names the line and the remedy.
pub(crate) fn read(path: &Path) -> Result<Staff, Message> {
    let unusable = |why: String| {
        Message::new(
            format!("職員名簿 {} を読めません。", path.display()),
            format!(
                "the staff file {} cannot be used: {why}; `denwaban init` writes an example",
                path.display()
            ),
        )
    };
    let text = fs::read_to_string(path).map_err(|fault| unusable(fault.to_string()))?;
    let file: StaffFile = toml::from_str(&text).map_err(|fault| unusable(fault.to_string()))?;
    let members = file
        .staff
        .into_iter()
        .map(member)
        .collect::<Result<Vec<_>, _>>()
        .map_err(unusable)?;
    Staff::new(members).map_err(|fault| unusable(fault.to_string()))
}

/// Finds one person.
///
/// # Errors
/// [`Unknown`], with the file and the lines to add.
pub(crate) fn find(path: &Path, id: &StaffId) -> Result<StaffMember, Unknown> {
    let staff = read(path).map_err(Unknown::File)?;
    staff
        .find(id)
        .cloned()
        .ok_or_else(|| Unknown::Person(missing(path, Some(id))))
}

/// What to say where nobody is named or the person is not listed: the clause, the file, and the lines to add.
pub(crate) fn missing(path: &Path, id: Option<&StaffId>) -> Message {
    let shown = id.map_or("yamada.hanako", StaffId::as_str);
    let lines = format!(
        "[[staff]]\nid = \"{shown}\"\nname = \"氏名\"\nrole = \"assistant\"\nunit = \"所属\"\ndesignated_on = 2026-04-01\ntrained_on = 2026-04-10"
    );
    let refusal = may(None, Action::ListenToFile).err();
    let (code, ja, en) = refusal.as_ref().map_or_else(Default::default, |refusal| {
        (refusal.code().code(), refusal.japanese(), refusal.english())
    });
    let file = path.display();
    Message::coded(
        code,
        format!("{ja}\n{file} に次の行を加え、--as {shown} を指定してください。"),
        format!(
            "{en}\nadd these lines to {file} and name the person with --as {shown}:\n\n{lines}"
        ),
    )
}

/// The message of a refusal, with its clause in both languages (K-40).
pub(crate) fn message(refusal: &Refusal) -> Message {
    Message::coded(refusal.code().code(), refusal.japanese(), refusal.english())
}

/// Who did it, for the audit trail.
pub(crate) fn actor(unix_user: &str, person: Option<&StaffMember>) -> Actor {
    Actor::Person {
        unix_user: unix_user.to_owned(),
        person: person.map(|person| person.id.clone()),
    }
}

fn member(entry: Entry) -> Result<StaffMember, String> {
    let designated_on = entry
        .designated_on
        .map(|when| date(&when, "designated_on"))
        .transpose()?;
    let trained_on = entry
        .trained_on
        .map(|when| date(&when, "trained_on"))
        .transpose()?;
    Ok(StaffMember {
        id: entry.id,
        name: entry.name,
        role: entry.role,
        unit: entry.unit,
        designated_on,
        trained_on,
    })
}

fn date(when: &toml::value::Datetime, key: &str) -> Result<jiff::civil::Date, String> {
    let wrong = || format!("{key} is {when}, expected a date such as 2026-04-01");
    when.date
        .filter(|_| when.time.is_none())
        .map(|date| date.to_string())
        .ok_or_else(wrong)?
        .parse()
        .map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::template;

    fn written(text: &str) -> std::path::PathBuf {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("denwaban-staff-{}-{count}", std::process::id()));
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn the_file_of_init_is_empty_and_its_example_can_be_used() {
        let path = written(template::STAFF);
        let id: StaffId = "yamada.hanako".parse().unwrap();
        let unknown = find(&path, &id).unwrap_err();
        let Answer::<()>::Refused(message) = unknown.into_answer() else {
            panic!("an unknown person is refused");
        };
        assert_eq!(message.code, "PERSON_UNKNOWN");
        assert!(
            message.en.contains("[[staff]]\nid = \"yamada.hanako\""),
            "{}",
            message.en
        );

        let example: String = template::STAFF
            .lines()
            .skip_while(|line| !line.contains("[[staff]]"))
            .map(|line| line.trim_start_matches("# ").to_owned() + "\n")
            .collect();
        let example = written(&example);
        assert_eq!(find(&example, &id).unwrap().role, Role::Assistant);
        for path in [path, example] {
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_wrong_line_is_named() {
        let path = written("[[staff]]\nid = \"a\"\nname = \"b\"\nrole = \"king\"\nunit = \"c\"\n");
        let message = read(&path).unwrap_err();
        assert!(message.en.contains("line 4"), "{}", message.en);
        fs::remove_file(path).unwrap();
    }
}
