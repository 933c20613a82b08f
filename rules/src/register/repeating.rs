//! What somebody asks for again because no answer came: one request, hold, hand-over or measure is made of it, not two.

use super::{Fact, Register};
use crate::{
    case::{Application, CaseStage, RequestFact},
    hand_over::{Destination, HandOverFact, HandOverState, Wished},
    hold::{HoldFact, HoldStage},
    ids::StaffId,
    particular::Particular,
    people::Person,
    policy::PolicyFact,
    subject::Subject,
};

impl Register {
    /// What the same person asked for alike and nobody decided yet; of a measure that person's newest, of a training the newest of whoever was trained.
    ///
    /// Whether the sealed texts are the same too is for whoever can open them: the register knows salted hashes alone.
    pub fn asked_before(&self, by: &StaffId, fact: &Fact) -> Vec<Subject> {
        match fact {
            Fact::Request(RequestFact::Opened { application, .. }) => {
                let cases = self.cases.iter().filter(|(_, case)| {
                    *case.stage() == CaseStage::Undecided
                        && case.opened().by == *by
                        && case.application().is_like(application)
                });
                cases.map(|(id, _)| Subject::Case(id)).collect()
            }
            Fact::Hold(HoldFact::Requested { terms, .. }) => {
                let holds = self.holds.iter().filter(|(_, hold)| {
                    *hold.stage() == HoldStage::Undecided
                        && hold.requested().by == *by
                        && hold.terms() == terms
                });
                holds.map(|(id, _)| Subject::Hold(id)).collect()
            }
            Fact::HandOver(HandOverFact::Requested { wish, .. }) => {
                let hand_overs = self.hand_overs().iter().filter(|(_, known)| {
                    *known.state() == HandOverState::Requested
                        && known.requested_by() == by
                        && known.wish().is_like(wish)
                });
                hand_overs.map(|(id, _)| Subject::HandOver(*id)).collect()
            }
            Fact::Trained { person, on, .. } => {
                let newest = self.person(person).and_then(Person::newest_training);
                let same = newest.filter(|training| training.on == *on);
                same.map(|_| Subject::Person(person.clone()))
                    .into_iter()
                    .collect()
            }
            Fact::Policy(PolicyFact::MeasureDecided { basis, .. }) => {
                let mut measures = self.policy.measures().iter().rev();
                let newest = measures.find(|measure| measure.by.as_ref() == Some(by));
                let same = newest.filter(|measure| measure.basis == *basis);
                same.map(|measure| Subject::Decision(measure.decision))
                    .into_iter()
                    .collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Application {
    /// The same but for what lies sealed, of which the same is said at all.
    fn is_like(&self, other: &Application) -> bool {
        let said = |application: &Application| {
            let Application {
                basis,
                requester,
                document,
                ..
            } = application;
            [basis, requester, document].map(Option::is_some)
        };
        (self.kind, &self.unit, &self.recordings) == (other.kind, &other.unit, &other.recordings)
            && said(self) == said(other)
    }
}

impl Wished {
    /// The same but for what lies sealed: the receiver's name and the medium.
    fn is_like(&self, other: &Wished) -> bool {
        let to_the_same = match (&self.to, &other.to) {
            (
                Destination::Request {
                    case, recipient, ..
                },
                Destination::Request {
                    case: other_case,
                    recipient: other_recipient,
                    ..
                },
            ) => (case, recipient) == (other_case, other_recipient),
            (to, other) => to == other,
        };
        to_the_same
            && self.medium.is_like(&other.medium)
            && (self.purpose, &self.items) == (other.purpose, &other.items)
    }
}

impl Particular {
    /// Whether both may say the same.
    fn is_like(&self, other: &Particular) -> bool {
        match (self, other) {
            (Particular::Sealed { .. }, Particular::Sealed { .. }) => true,
            (particular, other) => particular == other,
        }
    }
}
