//! What the command line understands: every line that the city was promised, as it was written.

use clap::{CommandFactory as _, Parser as _};

use super::Line;

#[test]
fn the_command_line_is_consistent() {
    Line::command().debug_assert();
}

#[test]
fn every_command_declares_what_it_leaves_in_the_trail() {
    let mut commands = Vec::new();
    for command in Line::command().get_subcommands() {
        let name = command.get_name();
        let below: Vec<&str> = command
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        if below.is_empty() || !command.is_subcommand_required_set() {
            commands.push(name.to_owned());
        }
        commands.extend(below.iter().map(|below| format!("{name} {below}")));
    }
    let declared: Vec<&str> = include_str!("../../tests/commands.table")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (command, events) = line.split_at(30);
            for event in events.split_whitespace() {
                let is_known = event == "none" || TRAIL.contains(&format!("\"event\":\"{event}\""));
                assert!(is_known, "{event} is no event of the trail");
            }
            assert!(!events.trim().is_empty(), "{command} declares nothing");
            command.trim()
        })
        .collect();
    assert_eq!(declared, commands);
}

/// A recording, a hand-over, a request, a hold, a decision: their ids look alike.
const ID: &str = "01M87149FV0000000000000002";
const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

/// `ID` is an id, `KEY` a contractor's key.
const PROMISED: &str = "
people bootstrap --manager m --manager-password-file F --administrator a --administrator-password-file F
people add p --role assistant --unit U
people add p --role vendor_supervisor --unit U --vendor v
people designate p --from 2026-04-01 --until 2027-03-31
people withdraw p
people train p --course C --on 2026-04-01
people acknowledge
people appoint p
people deputise p --from 2026-04-01 --until 2026-04-02 --basis B
people recover p
people acknowledge-recovery p
people list
login
logout
password --new-password-file F
totp enrol
access table
vendors add v --recipient KEY
vendors attest v --kind security-policy --until 2027-03-31
contracts add c --vendor v --number 0783331000 0783332000 --from 2026-04-01 --until 2027-03-31 --purpose ANALYSIS_INQUIRY
contracts approve c --supervisor p
numbers decide 0783331000 --means T --review 2027-03-31
numbers decide 0783331000 --law T --review 2027-03-31
numbers confirm ID
numbers withdraw ID
numbers list
recordings find --caller N --called N --from 2026-04-01T00:00:00+09:00 --until 2026-04-02T00:00:00+09:00 --purpose STAFF_CHECK
recordings play ID --purpose STATUTE --case ID --from-ms 0 --to-ms 1000
recordings export ID --purpose STATUTE --case ID --out F
recordings reveal ID --purpose STAFF_CHECK --reason R
recordings heard ID
requests open --kind statute --basis B --requester R --document D --recording ID ID
requests open --kind subject
requests open --kind unreasonable
requests decide ID --approve --reason R
requests decide ID --reject --reason R
requests suspend ID
requests list
holds request --case ID --ground article-5 --recording ID ID --review 2026-07-01 --until 2026-10-01
holds decide ID --approve
holds release ID
holds list
handover request --to v --contract c --purpose ANALYSIS_INQUIRY --medium M --recording ID ID
handover request --request ID --receiver T --recipient KEY --purpose STATUTE --medium M --recording ID
handover decide ID --approve --reason R
handover package ID --out F --zip
handover passphrase ID
handover give ID --receiver R
handover receive ID --code C
handover destroyed ID --certificate F
handover close ID
handover list
handover register --csv F
dispose --plan --at 2026-04-01T00:00:00+09:00
dispose --due --confirm-clock R
dispose --one ID --decision ID
dispose certificate 2026-04-01 --out F
dispose acknowledge 2026-04-01
keys status
keys rotate
keys mirror
keys public
copies list
copies destroyed ID --certificate F
audit list --from-seq 3
audit head --chain calls
audit verify --head F --head F
audit export --out F
policy show
policy apply F
policy decide
reconcile
report supervision --month 2026-04 --sign
statement --month 2026-04 --out F
backup --out D
restore --from D
";

/// Those that need no configuration.
const WITHOUT_CONFIGURATION: &str = "
handover verify F --key PUB
dispose verify F --key PUB
statement verify F --key PUB
";

fn parse(line: &str, more: &[&str]) -> Result<(), clap::Error> {
    let words = line.split(' ').map(|word| match word {
        "ID" => ID,
        "KEY" => KEY,
        word => word,
    });
    let line = ["denwaban"]
        .into_iter()
        .chain(words)
        .chain(more.iter().copied());
    Line::try_parse_from(line).map(drop)
}

#[test]
fn every_command_line_that_was_promised_is_understood() {
    let promised = PROMISED
        .lines()
        .map(|line| (line, &["--config", "C", "--json"][..]));
    let alone = WITHOUT_CONFIGURATION
        .lines()
        .map(|line| (line, &["--json"][..]));
    for (line, more) in promised.chain(alone).filter(|(line, _)| !line.is_empty()) {
        if let Err(fault) = parse(line, more) {
            panic!("{line}: {fault}");
        }
    }
}

#[test]
fn a_person_is_shown_to_every_command_that_asks_for_one_in_the_same_way() {
    let person = ["--as", "p", "--password-file", "F", "--totp", "123456"];
    // Root, the bootstrap and what only shows ask nobody.
    let asks_nobody = [
        "people bootstrap",
        "people recover",
        "logout",
        "access table",
        "dispose certificate",
        "keys status",
        "keys public",
        "audit head",
        "audit verify",
        "reconcile",
    ];
    let lines = PROMISED.lines().filter(|line| !line.is_empty());
    let more = [&person[..], &["--config", "C"]].concat();
    let is_asked = |line: &&str| parse(line, &more).is_ok();
    let asks = |line: &&str| !asks_nobody.iter().any(|nobody| line.starts_with(nobody));
    let (asked, promised): (Vec<&str>, Vec<&str>) = (
        lines.clone().filter(is_asked).collect(),
        lines.filter(asks).collect(),
    );
    assert_eq!(asked, promised);
}

/// One entry of each event, as the trail holds it.
const TRAIL: &str = include_str!("../../../rules/tests/audit.entries");
