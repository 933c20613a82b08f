//! Passwords at the office: the first ones, those that others issue, and how each comes into force (K-14).
//!
//! A password is kept, then its entry is durable, then it is in force; what a crash cuts off the next look ends ([`Owner::settle_passwords`]).

use std::sync::Arc;

use jiff::Timestamp;
use rules::{Action, AuditEvent, Fact, NewPassword, Origin, StaffId, Subject};
use storage::{Attachments, PasswordHash, PasswordSet, TextKind};

use super::{
    owner::Owner,
    people::{Caller, no_randomness},
};
use crate::{
    duty::{Answer, Ending, Message},
    people::{self, PasswordView, Told},
    proof::{Secret, random_text},
    said::Words,
};

impl Owner {
    /// Names the two first persons, each with a password of the own.
    pub(super) async fn bootstrap(
        &mut self,
        caller: &Caller<'_>,
        first: [(StaffId, Secret); 2],
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let staff = people::read_staff(&self.config.folders.staff).map_err(Answer::Usage)?;
        let fact = Fact::Founded {
            manager: first[0].0.clone(),
            administrator: first[1].0.clone(),
            unit: self.config.people.unit.clone(),
            taken_in: staff.taken_in,
        };
        let attach = |office: &Owner| {
            let passwords = first.into_iter().map(|(person, password)| {
                let hash = make_hash(&judge_new(&person, password.text())?)?;
                Ok(PasswordSet::founders(person, hash))
            });
            let texts = staff.names.iter().map(|(person, name)| {
                let (text, _) =
                    office.seal_text(Subject::Person(person.clone()), TextKind::Name, name, now)?;
                Ok(text)
            });
            Ok(Attachments {
                passwords: passwords.collect::<Result<_, Ending>>()?,
                texts: texts.collect::<Result<_, Ending>>()?,
                ..Attachments::default()
            })
        };
        self.record(caller, fact, attach, now).await
    }

    /// Records a fact about somebody who gets a first password by it.
    pub(super) async fn take_in_person(
        &mut self,
        caller: &Caller<'_>,
        person: StaffId,
        fact: Fact,
        name: Option<Words>,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let password = random_text().map_err(|fault| no_randomness(&fault))?;
        let attach = |office: &Owner| {
            let hash = make_hash(&judge_new(&person, password.text())?)?;
            let name = name.map(|name| {
                let about = Subject::Person(person.clone());
                office.seal_text(about, TextKind::Name, name.text(), now)
            });
            let texts = name.transpose()?.map(|(text, _)| text);
            let set = PasswordSet::issued(person.clone(), hash);
            Ok(Attachments {
                passwords: vec![set],
                texts: texts.into_iter().collect(),
                ..Attachments::default()
            })
        };
        match self.record(caller, fact, attach, now).await? {
            Told::Done => Ok(Told::Issued { person, password }),
            _ => Ok(Told::AlreadyIn {
                password: self.password_of(&person).await?,
                person,
            }),
        }
    }

    pub(super) async fn password_of(&mut self, person: &StaffId) -> Result<PasswordView, Ending> {
        let account = self.rows(async |catalogue| catalogue.account(person).await);
        let origin = account.await?.map(|kept| kept.account.origin);
        Ok(match origin {
            None => PasswordView::Missing,
            Some(Origin::Issued) => PasswordView::First,
            Some(Origin::Own) => PasswordView::Own,
        })
    }

    /// Gives another person a password, which takes the place of whatever was there.
    pub(super) async fn issue(
        &mut self,
        caller: &Caller<'_>,
        person: StaffId,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let register = self.register().await?;
        let action = Action::IssuePassword;
        let petitioner = caller.petitioner();
        if let Err(fault) = register.judge(&petitioner, action, Some(&person), now) {
            return Err(self.refuse(caller, action, &fault));
        }
        let password = random_text().map_err(|fault| no_randomness(&fault))?;
        let hash = make_hash(&judge_new(&person, password.text())?)?;
        let set = PasswordSet::issued(person.clone(), hash);
        self.set_password(caller, &person, &set).await?;
        Ok(Told::Issued { person, password })
    }

    /// The entry is durable before the password is in force.
    pub(super) async fn set_password(
        &mut self,
        caller: &Caller<'_>,
        person: &StaffId,
        set: &PasswordSet,
    ) -> Result<(), Ending> {
        let person = person.clone();
        let after = self.last_entry()?;
        self.rows(async |catalogue| catalogue.keep_password(set, after).await)
            .await?;
        self.write_down(caller, AuditEvent::PasswordSet { person })?;
        self.settle_passwords().await
    }

    /// Puts in force what the trail says is set; so does the next look where this one was cut off.
    pub(super) async fn settle_passwords(&mut self) -> Result<(), Ending> {
        let (disk, layout) = (Arc::clone(&self.disk), self.layout.clone());
        self.rows(async |catalogue| catalogue.settle_passwords(&*disk, &layout).await)
            .await
    }
}

pub(super) fn judge_new(person: &StaffId, text: &str) -> Result<NewPassword, Ending> {
    NewPassword::judge(person, text).map_err(|refusal| Answer::Refused(people::message(&refusal)))
}

pub(super) fn make_hash(password: &NewPassword) -> Result<PasswordHash, Ending> {
    PasswordHash::new(password).map_err(|fault| {
        Answer::Unavailable(Message::new(
            "パスワードを設定できません。",
            fault.to_string(),
        ))
    })
}
